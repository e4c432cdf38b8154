"""What can be wrong with a stack that is to run under Compose."""


class ComposeError(ValueError):
    """A stack that Compose cannot run; the text names the field and the remedy."""

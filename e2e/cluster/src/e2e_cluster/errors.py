"""What is wrong, and what to do about it."""


class ClusterError(Exception):
    """A cluster cannot be raised, used or taken down; the message says what is wrong and the remedy."""

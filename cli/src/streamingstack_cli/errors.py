"""What ends a command with one line."""


class CommandError(Exception):
    """The text is the line; `status` the exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status

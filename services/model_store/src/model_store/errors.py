"""What can go wrong with a model, each with what to do about it."""

from pathlib import Path


class ModelStoreError(Exception):
    """Base of every failure to get a model; the text is one line for people."""


class SourceError(ModelStoreError, ValueError):
    """A source URI that cannot be understood."""


class SourceNotFoundError(ModelStoreError):
    """The source is reachable and does not have it."""


class SourceRefusedError(ModelStoreError):
    """The source wants other credentials."""


class SourceUnreachableError(ModelStoreError):
    """No answer, or none that is whole, after all retries."""


class UnsafePathError(ModelStoreError):
    """A path inside a source that would leave the model's folder."""


class WrongDigestError(ModelStoreError):
    """A file whose bytes are not the promised ones; it has been removed."""

    def __init__(self, name: str, expected: str, got: str) -> None:
        super().__init__(
            f"{name}: sha256 is {got}, expected {expected}; the file was removed. "
            "Try again, or correct the sha256 or the source"
        )
        self.name, self.expected, self.got = name, expected, got


class DiskFullError(ModelStoreError):
    """No room for a file; what was partly written has been removed."""

    def __init__(self, folder: Path, needed: int, free: int) -> None:
        self.folder, self.needed, self.free = folder, needed, free
        super().__init__(self.with_remedy("Make room, or set STREAMINGSTACK_CACHE to a larger disk"))

    def with_remedy(self, remedy: str) -> str:
        """The text, with another thing to do about it."""
        return f"{self.folder} is full: {self.needed} bytes needed, {self.free} free. {remedy}"

"""What the API server may answer instead of an object. Pure."""

import msgspec


class Cause(msgspec.Struct):
    """One field that was refused."""

    field: str = ""
    message: str = ""
    reason: str = ""


class ApiRefusal(Exception):
    """The API server answered with an error. `code` is HTTP's, `reason` its own word, as `NotFound` or `Invalid`."""

    def __init__(self, code: int, reason: str, message: str, causes: tuple[Cause, ...] = ()) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.causes = causes
        super().__init__(f"{code} {reason}: {message}")


class ApiUnreachable(Exception):
    """No answer: connection refused, cut or too slow."""

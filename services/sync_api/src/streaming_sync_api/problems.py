"""What a request is refused with: one status, one code, in the two forms that clients read."""

import math
from typing import Any

from license_client.counts import KeyLimit


class SyncProblem(Exception):
    """Ends a request. `detail` names the field and the remedy, is for the client alone, and is never logged."""

    def __init__(self, status: int, code: str, detail: str, *, retry_after: int | None = None) -> None:
        """`retry_after`: whole seconds."""
        super().__init__(code)
        self.status, self.code, self.detail, self.retry_after = status, code, detail, retry_after

    def body(self) -> dict[str, Any]:
        """Problem details of RFC 9457, whose title is the code in words, and the older form beside them."""
        return {
            "status": self.status,
            "title": self.code.replace("_", " ").title(),
            "detail": self.detail,
            "error_code": self.code,
            "message": self.detail,
        }

    def headers(self) -> dict[str, str]:
        """Retry-After, where it makes sense to come back."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def bad_request(detail: str) -> SyncProblem:
    """The request is not what the API takes."""
    return SyncProblem(400, "bad_request", detail)


def bad_audio(detail: str) -> SyncProblem:
    """The audio cannot be read as what it claims to be."""
    return SyncProblem(400, "bad_audio", detail)


def unsupported(detail: str) -> SyncProblem:
    """Audio of another kind than the API takes."""
    return SyncProblem(415, "unsupported_media_type", detail)


def too_large(detail: str) -> SyncProblem:
    """More than one request may hold."""
    return SyncProblem(413, "audio_too_large", detail)


def unauthorized(detail: str) -> SyncProblem:
    """Nobody that is known."""
    return SyncProblem(401, "unauthorized", detail)


def no_capacity(detail: str, retry_after: int = 5) -> SyncProblem:
    """Come back later."""
    return SyncProblem(503, "capacity_exceeded", detail, retry_after=retry_after)


def too_many(limit: KeyLimit, again_seconds: float) -> SyncProblem:
    """The key has used up what it may."""
    beyond = {
        "key_sessions": "as many sessions and recordings of this key are in work as it may have at once",
        "key_rate": "this key began as many sessions and recordings within a minute as it may",
    }[limit]
    return SyncProblem(
        429, "too_many_requests", f"{beyond}; send it again later", retry_after=max(1, math.ceil(again_seconds))
    )


def inference_error() -> SyncProblem:
    """The server's fault; its log says more."""
    return SyncProblem(500, "inference_error", "the recording could not be transcribed; send it again")

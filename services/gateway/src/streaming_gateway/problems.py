"""What ends a session: the close code, and the text of the Error before it."""

from dataclasses import dataclass
from typing import Literal, get_args

from license_client.counts import KeyLimit

# What there is too little of: this gateway's places, the recognisers', memory for held audio, the licence's sessions.
# Each is mended elsewhere, so the autoscalers tell them apart.
Shortage = Literal["capacity", "recognizers", "budget", "license_limit"]
SHORTAGES: tuple[Shortage, ...] = get_args(Shortage)

KEY_LIMITS: tuple[KeyLimit, ...] = get_args(KeyLimit)

ERROR_REASON = "See Error message for details"


class Problem(Exception):
    """The session cannot go on: an Error with `code` and `text`, then a close with the same code.

    `kind` names the cause in metrics and logs; `text` may quote what the client sent and is never logged.
    """

    def __init__(self, code: int, text: str, kind: str) -> None:
        super().__init__(kind)
        self.code = code
        self.text = text.encode("utf-8", "replace").decode()  # a quote may hold half a surrogate pair
        self.kind = kind


@dataclass(frozen=True)
class Closing:
    """How the server closes; `problem` is told first."""

    code: int
    reason: str = ""
    problem: Problem | None = None


SESSION_ENDED = Closing(1000, "Session Ended")
GOING_AWAY = Closing(1001, "Server is going away")
CLIENT_GONE = Closing(1005)


def closing(problem: Problem) -> Closing:
    """The close that follows the problem's Error."""
    return Closing(problem.code, ERROR_REASON, problem)


def unauthorized(reason: str, kind: str = "unauthorized") -> Problem:
    """No session for this client."""
    return Problem(1008, f"Unauthorized Connection: {reason}", kind)


def used_token() -> Problem:
    """A token that opens one session, and did."""
    return unauthorized("Token was used already", "used_token")


def unchecked_token() -> Problem:
    """Nobody says whether the token was used: it may be by now, so the client comes again with another one."""
    text = "Session Cancelled: Tokens cannot be checked now; try again with a new token"
    return Problem(3005, text, "unchecked_token")


def invalid_input(text: str, kind: str = "invalid_input") -> Problem:
    """The client sent what cannot be used."""
    return Problem(3006, f"User Input Validation Error: {text}", kind)


def invalid_parameter(name: str, reason: str) -> Problem:
    """A parameter, in the query or in an update, with a wrong value."""
    return invalid_input(f"Invalid '{name}': {reason}", "invalid_parameter")


def undecodable(what: str, reason: str) -> Problem:
    """Compressed audio that is none."""
    return invalid_input(f"Failed to decode {what}: {reason}", "undecodable_audio")


def too_many_orders(most: int) -> Problem:
    """More of them than are kept until their audio is heard."""
    text = f"Too many messages: at most {most} of ForceEndpoint and UpdateConfiguration may wait for their audio"
    return invalid_input(f"{text}; send fewer, or less in each", "too_many_orders")


def inactive(seconds: float) -> Problem:
    """Nothing came for as long as the client said."""
    return invalid_input(
        f"Session terminated due to inactivity: No messages received for {seconds:g} seconds", "inactivity"
    )


def chunk_duration(duration_ms: float) -> Problem:
    """A frame of audio too long, or too many too short."""
    return Problem(
        3007,
        f"Input Duration Error: Input Duration Violation: {duration_ms:.1f} ms. Expected between 50 and 1000 ms",
        "chunk_duration",
    )


def too_much_backlog() -> Problem:
    """More audio waits than the gateway keeps."""
    return Problem(3007, "Input Duration Error: Audio Transmission Rate Exceeded: too much audio buffered", "backlog")


def expired() -> Problem:
    """The longest session is over."""
    return Problem(3008, "Session Expired: Maximum session duration exceeded", "expired")


def at_capacity(shortage: Shortage) -> Problem:
    """No room for another session."""
    return Problem(3009, "Unauthorized Connection: Too many concurrent sessions", shortage)


def key_limit(limit: KeyLimit) -> Problem:
    """The key has as many sessions as it may, or began as many within the last minute."""
    more = {"key_sessions": "of this key", "key_rate": "of this key, begun within a minute"}[limit]
    return Problem(3009, f"Unauthorized Connection: Too many concurrent sessions {more}", limit)


def cancelled(kind: str) -> Problem:
    """Something failed on the server's side."""
    return Problem(3005, "Session Cancelled: An error occurred", kind)


def reads_too_slowly() -> Problem:
    """The client leaves its messages unread."""
    return Problem(3005, "Session Cancelled: Messages are not being read", "slow_reader")

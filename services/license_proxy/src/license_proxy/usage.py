"""Usage events: cumulative counts of one session, of which the highest sequence wins."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

MAX_EVENTS = 1000
_MAX_PROBLEMS = 10
_MAX_COUNT = 2**53 - 1  # what JSON numbers hold exactly everywhere

Count = Annotated[int, Field(ge=0, le=_MAX_COUNT, strict=True)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$", strict=True)]
# The name that an operator gave to a key: any text, because a name we dislike is no reason to lose usage.
Tenant = Annotated[str, StringConstraints(max_length=4096, strict=True)]


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # the first and the last day of the calendar, in a far time zone
        raise ValueError("outside of the calendar") from None


class UsageEvent(BaseModel):
    """What one session has used so far. Unknown fields are dropped: a newer gateway may send some."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    session_id: Id
    sequence: Count = Field(description="Rises with every event of a session.")
    audio_ms: Count = Field(description="Milliseconds of audio taken so far.")
    session_ms: Count = Field(description="Milliseconds the session has lasted so far.")
    model: Id
    tenant: Tenant | None = None
    started_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    ended: Annotated[bool, Field(strict=True)] = False


class UsageBatch(BaseModel):
    """The body of `POST /v1/usage`."""

    model_config = ConfigDict(extra="ignore")

    events: list[UsageEvent] = Field(max_length=MAX_EVENTS)


class UsageRefused(Exception):
    """A body that is not a batch of usage events; `fields` are `{field, problem}` and never hold what was sent."""

    def __init__(self, fields: list[dict[str, str]]) -> None:
        self.fields = fields
        super().__init__("; ".join(f"{entry['field']}: {entry['problem']}" for entry in fields))


def parse_batch(body: bytes) -> list[UsageEvent]:
    """The events of a body, in their order. Raises UsageRefused."""
    try:
        return UsageBatch.model_validate_json(body).events
    except ValidationError as refused:
        errors = refused.errors(include_url=False, include_context=False, include_input=False)
        raise UsageRefused(
            [{"field": _field(error["loc"]), "problem": error["msg"]} for error in errors[:_MAX_PROBLEMS]]
        ) from None


def newest_of_each_session(events: list[UsageEvent]) -> dict[str, UsageEvent]:
    """The event that wins for each session; of equal sequences the first."""
    newest: dict[str, UsageEvent] = {}
    for event in events:
        known = newest.get(event.session_id)
        if known is None or event.sequence > known.sequence:
            newest[event.session_id] = event
    return newest


def _field(location: tuple[Any, ...]) -> str:
    """`events[3].audio_ms` from ("events", 3, "audio_ms")."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return name.removeprefix(".") or "body"

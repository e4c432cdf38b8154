"""Usage events: cumulative counts of one session, of which the highest sequence wins."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from license_proxy.bodies import Count, Id, read_body

MAX_EVENTS = 1000
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


def parse_batch(body: bytes) -> list[UsageEvent]:
    """The events of a body, in their order. Raises BodyRefused."""
    return read_body(UsageBatch, body).events


def newest_of_each_session(events: list[UsageEvent]) -> dict[str, UsageEvent]:
    """The event that wins for each session; of equal sequences the first."""
    newest: dict[str, UsageEvent] = {}
    for event in events:
        known = newest.get(event.session_id)
        if known is None or event.sequence > known.sequence:
            newest[event.session_id] = event
    return newest

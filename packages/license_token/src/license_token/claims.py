"""What a licence says."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

AUDIENCE = "streamingstack"
ALL_MODELS: Literal["*"] = "*"
_NAMES_IN_TOKEN = {
    "license_id": "jti",
    "issuer": "iss",
    "audience": "aud",
    "customer": "sub",
    "issued_at": "iat",
    "not_before": "nbf",
    "expires_at": "exp",
}
_TEN_YEARS = 10 * 366 * 86400
_YEAR_9000 = 221_845_392_000  # seconds since 1970; leaves room to add any trust window without overflow


class Billing(StrEnum):
    """How the customer pays."""

    FLAT = "flat"
    USAGE = "usage"


def _from_numeric_date(value: object) -> object:
    """A JWT NumericDate (seconds since 1970) or a datetime as a datetime in UTC.

    Raises ValueError for anything else, and for times that no calendar holds.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time needs a time zone")
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number of seconds since 1970")  # noqa: TRY004 - pydantic wants ValueError
    if not 0 <= value < _YEAR_9000:
        raise ValueError("must be seconds since 1970, before the year 9000")
    return datetime.fromtimestamp(value, UTC)


def _to_numeric_date(value: datetime) -> int:
    return int(value.timestamp())


Time = Annotated[
    datetime, BeforeValidator(_from_numeric_date), PlainSerializer(_to_numeric_date, return_type=int, when_used="json")
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]


class Claims(BaseModel):
    """The claims of one licence. Times are in UTC, whole seconds in the token, where the registered names are used.

    Unknown claims are ignored, so that a newer issuer can add some.
    """

    model_config = ConfigDict(
        alias_generator=lambda name: _NAMES_IN_TOKEN.get(name, name),
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        strict=True,
    )

    license_id: Name = Field(description="Names this licence; a renewal has a new one.")
    issuer: Name
    audience: Name
    customer: Name
    issued_at: Time
    not_before: Time | None = Field(
        default=None,
        description="Valid from; absent: from issued_at.",
    )
    expires_at: Time = Field(description="Valid until, exclusive.")
    billing: Annotated[Billing, Field(strict=False)]
    models: Annotated[tuple[Name, ...], Field(strict=False, min_length=1, max_length=256)] | Literal["*"] = Field(
        description="Speech models or routes; '*' is every one."
    )
    session_limit: int | None = Field(default=None, ge=1, description="Sessions at once; None is no limit.")
    trust_window_seconds: int = Field(
        ge=0, le=_TEN_YEARS, description="How long the licence is trusted after the last successful check-in."
    )
    development: bool = Field(
        default=False,
        description="Made by the user for their own machine; no promise of a vendor.",
    )

    @model_validator(mode="after")
    def _expires_after_it_begins(self) -> "Claims":
        if self.expires_at <= self.valid_from:
            raise ValueError("exp must be later than iat and nbf")
        return self

    @property
    def valid_from(self) -> datetime:
        """The first moment of validity."""
        return max(self.issued_at, self.not_before or self.issued_at)

    @property
    def trust_window(self) -> timedelta:
        """`trust_window_seconds` as a timedelta."""
        return timedelta(seconds=self.trust_window_seconds)

    def covers(self, model: str) -> bool:
        """Whether a speech model or route is licensed."""
        return ALL_MODELS in self.models or model in self.models

    def payload(self) -> dict[str, Any]:
        """The claims as they stand in the token."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

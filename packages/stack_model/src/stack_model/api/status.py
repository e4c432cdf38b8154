"""`status`: what the operator reports. The names of conditions, their reasons and the phases of models: all of them."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from stack_model.api.base import ApiModel, Keyed


class ConditionType(StrEnum):
    """Positive: `True` is good, but for Progressing, which is `True` while something is under way."""

    ACCEPTED = "Accepted"
    LICENSE_VALID = "LicenseValid"
    MODELS_AVAILABLE = "ModelsAvailable"
    GATEWAY_AVAILABLE = "GatewayAvailable"
    SCALING_SIGNAL = "ScalingSignal"
    PROGRESSING = "Progressing"
    READY = "Ready"


class Reason(StrEnum):
    """Why a condition is as it is; `Ready` also takes the reason of the first condition that fails."""

    # Accepted
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    MISSING_REFERENCE = "MissingReference"
    NAME_CONFLICT = "NameConflict"
    IMMUTABLE_FIELD = "ImmutableField"
    CHILD_REFUSED = "ChildRefused"
    API_MISSING = "ApiMissing"
    # LicenseValid
    VALID = "Valid"
    TRUST_BASED = "TrustBased"
    EXPIRES_SOON = "ExpiresSoon"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - no secret
    UNREADABLE = "Unreadable"
    FORGED = "Forged"
    NO_PUBLIC_KEYS = "NoPublicKeys"
    EXPIRED = "Expired"
    CHECK_IN_FAILED = "CheckInFailed"
    # ModelsAvailable
    ALL_AVAILABLE = "AllAvailable"
    SINGLE_POD_POOL = "SinglePodPool"
    LOADING_MODEL = "LoadingModel"
    FETCH_FAILED = "FetchFailed"
    MODEL_DOES_NOT_FIT = "ModelDoesNotFit"
    # GatewayAvailable
    AVAILABLE = "Available"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    LOAD_BALANCER_UNAVAILABLE = "LoadBalancerUnavailable"
    LICENSE_PROXY_UNAVAILABLE = "LicenseProxyUnavailable"
    # Pods of any part
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    STORAGE_CLASS_MISSING = "StorageClassMissing"
    CRASH_LOOPING = "CrashLooping"
    NOT_READY = "NotReady"
    # ScalingSignal
    REPORTED = "Reported"
    FIXED_SIZE = "FixedSize"
    NO_SIGNAL = "NoSignal"
    # Progressing
    COMPLETE = "Complete"
    ROLLING_OUT = "RollingOut"
    WAITING_FOR_DRAIN = "WaitingForDrain"
    DRAINING_MODEL = "DrainingModel"
    USAGE_UNDELIVERED = "UsageUndelivered"
    BLOCKED = "Blocked"
    # Ready
    READY = "Ready"
    READY_NOT_SCALING = "ReadyNotScaling"


class ModelPhase(StrEnum):
    """Where a model's pool is."""

    FETCHING = "Fetching"
    LOADING = "Loading"
    AVAILABLE = "Available"
    DEGRADED = "Degraded"
    UNAVAILABLE = "Unavailable"
    DRAINING = "Draining"


def _parsed(raw: Any) -> Any:
    return datetime.fromisoformat(raw) if isinstance(raw, str) else raw


def _printed(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Whole seconds, as Kubernetes writes its times; aware.
Time = Annotated[datetime, BeforeValidator(_parsed), PlainSerializer(_printed, return_type=str, when_used="json")]
Count = Annotated[int, Field(ge=0)]
# The schema takes any word: a newer operator under an older definition still reports.
_Word = WithJsonSchema({"type": "string", "maxLength": 64})


class StatusModel(ApiModel):
    """A part of `status`; what an older or newer operator wrote beside it is passed over."""

    model_config = ConfigDict(extra="ignore")


class Condition(StatusModel):
    """One condition, as every tool for Kubernetes understands it."""

    type: Annotated[ConditionType, _Word] = Field(description="What it is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[Reason, _Word] = Field(description="Why, in one word; see docs/troubleshooting.md.")
    message: str = Field(default="", max_length=1024, description="Why, and what to do.")
    observed_generation: int | None = Field(default=None, description="Generation of the spec that it is about.")
    last_transition_time: Time = Field(description="When `status` last changed.")


class LicenseStatus(StatusModel):
    """The licence as the licence proxies see it."""

    state: Literal["Ready", "Connected", "TrustBased", "Failed", "Unknown"] = Field(
        default="Unknown", description="`Ready` is before the first check."
    )
    trust_expiration: Time | None = Field(default=None, description="Until when the last good check is trusted.")


class GatewayStatus(StatusModel):
    """The gateway's pods, and their sessions as of `countsTime`."""

    ready: Count = Field(default=0, description="Pods that take sessions.")
    desired: Count = Field(default=0, description="Pods that there should be.")
    draining: Count = Field(default=0, description="Pods that end when their sessions have.")
    sessions: Count | None = Field(default=None, description="Open sessions, those on pods that drain among them.")
    draining_sessions: Count | None = Field(default=None, description="Open sessions on pods that drain.")
    capacity: Count | None = Field(default=None, description="Sessions that the ready pods can hold.")


class ModelStatus(StatusModel):
    """One model's pool, and its streams as of `countsTime`."""

    name: str = Field(description="The model's name.")
    ready: Count = Field(default=0, description="Pods that take streams.")
    desired: Count = Field(default=0, description="Pods that there should be.")
    draining: Count = Field(default=0, description="Pods that end when their streams have.")
    streams: Count | None = Field(default=None, description="Open streams, those on pods that drain among them.")
    draining_streams: Count | None = Field(default=None, description="Open streams on pods that drain.")
    capacity: Count | None = Field(default=None, description="Streams that the ready pods can hold.")
    digest: str | None = Field(default=None, description="sha256 over the sorted 'sha256  path' lines of its files.")
    phase: Annotated[ModelPhase, _Word] = Field(default=ModelPhase.UNAVAILABLE, description="Where the pool is.")


class UsageStatus(StatusModel):
    """Usage on its way to the usage tracker."""

    backlog: Count | None = Field(default=None, description="Events that are not delivered yet.")


class StackStatus(StatusModel):
    """What the operator saw last."""

    observed_generation: int | None = Field(default=None, description="Generation of the spec that this is about.")
    conditions: Annotated[list[Condition], Keyed("type")] = Field(
        default_factory=list, description="What holds and what does not, with reasons and remedies."
    )
    endpoint: str | None = Field(default=None, description="Where clients connect.")
    license: LicenseStatus = Field(default_factory=LicenseStatus, description="The licence.")
    gateway: GatewayStatus = Field(default_factory=GatewayStatus, description="The gateway's pods and sessions.")
    models: Annotated[list[ModelStatus], Keyed("name")] = Field(
        default_factory=list, description="The models' pods and streams."
    )
    usage: UsageStatus = Field(default_factory=UsageStatus, description="Usage on its way.")
    counts_time: Time | None = Field(
        default=None, description="When sessions, streams and capacities were last refreshed."
    )

    def condition(self, type_: ConditionType) -> Condition | None:
        """The condition of a type, where it is there."""
        return next((condition for condition in self.conditions if condition.type is type_), None)

    def to_object(self) -> dict[str, Any]:
        """As it is applied: camelCase, times as text, nothing that is absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

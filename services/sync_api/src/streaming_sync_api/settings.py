"""The sync API's environment; where the vendor has a name for a setting, it is that name."""

from pathlib import Path

from pydantic import AliasChoices, Field, field_validator
from service_kit.settings import ServiceSettings


class SyncSettings(ServiceSettings):
    """One field a variable; units in the names."""

    host: str = Field(default="0.0.0.0", validation_alias="HOST", description="Address for clients and metrics.")
    port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("HTTP_PORT", "SERVER_PORT"),
        description="Port for clients; 0 takes a free one.",
    )
    metrics_port: int = Field(default=9090, ge=0, le=65535, validation_alias="METRICS_PORT")
    asr_endpoint: str = Field(
        default="127.0.0.1:50050",
        validation_alias="AAI_ASR_ENDPOINT",
        description="host:port of the load balancer; several, separated by commas.",
    )
    license_endpoint: str | None = Field(
        default=None,
        validation_alias="AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT",
        description="URL of the licence proxy; unset: development, nothing is checked or metered.",
    )
    lease_endpoint: str | None = Field(
        default=None,
        validation_alias="LEASE_ENDPOINT",
        description="URL of the one licence proxy that counts the sessions and recordings of a stack, as the gateway "
        "has it; unset: the same.",
    )
    models: str | None = Field(
        default=None,
        validation_alias="GATEWAY_MODELS",
        description="JSON list of {speech_model, route, family, default}, as the gateway has it.",
    )
    models_file: Path | None = Field(
        default=None, validation_alias="GATEWAY_MODELS_FILE", description="The same in a file, reloaded when changed."
    )
    default_speech_model: str | None = Field(default=None, validation_alias="DEFAULT_SPEECH_MODEL")
    api_keys_file: Path | None = Field(
        default=None,
        validation_alias="API_KEYS_FILE",
        description="Lines of sha256 and name, as the gateway has them; unset: any non-empty credential.",
    )
    spool_dir: Path | None = Field(
        default=None, validation_alias="SPOOL_DIR", description="Undelivered usage; unset: in memory only."
    )
    spool_sessions: int = Field(default=1_000_000, ge=1, validation_alias="SPOOL_SESSIONS")
    max_requests: int = Field(
        default=8,
        ge=1,
        validation_alias="MAX_REQUESTS",
        description="Requests at a time; each may hold MAX_REQUEST_BYTES.",
    )
    max_request_bytes: int = Field(default=41_943_040, ge=1024, validation_alias="MAX_REQUEST_BYTES")
    min_audio_ms: int = Field(default=80, ge=1, validation_alias="MIN_AUDIO_DURATION_MS")
    max_audio_ms: int = Field(default=120_000, ge=1, validation_alias="MAX_AUDIO_DURATION_MS")
    inference_seconds: float = Field(
        default=30, gt=0, validation_alias="INFERENCE_TIMEOUT_SECONDS", description="From the last byte to the words."
    )
    queue_seconds: float = Field(
        default=10,
        ge=0,
        validation_alias="QUEUE_SECONDS",
        description="How much of that a recording may wait for a recogniser with a free place.",
    )
    upload_seconds: float = Field(
        default=300, gt=0, validation_alias="UPLOAD_SECONDS", description="Longest upload; a live one lasts as speech."
    )
    quiet_seconds: float = Field(
        default=30, gt=0, validation_alias="QUIET_SECONDS", description="Longest pause inside an upload."
    )
    linger_seconds: float = Field(
        default=5,
        ge=0,
        validation_alias="LINGER_SECONDS",
        description="After SIGTERM, how long requests are taken that were on their way to this pod.",
    )
    drain_seconds: float = Field(default=360, ge=0, validation_alias="DRAIN_SECONDS")
    check_contract: bool = Field(default=False, validation_alias="CHECK_CONTRACT")

    @field_validator("license_endpoint", "lease_endpoint")
    @classmethod
    def _with_scheme(cls, endpoint: str | None) -> str | None:
        return f"http://{endpoint}" if endpoint and "://" not in endpoint else endpoint or None

    @property
    def counting_endpoint(self) -> str | None:
        """URL of the licence proxy that all services tell; None: this process is all there is."""
        return self.lease_endpoint or self.license_endpoint

    @property
    def endpoints(self) -> tuple[str, ...]:
        """`host:port` of each load balancer; raises ValueError naming the variable."""
        endpoints = tuple(part.strip() for part in self.asr_endpoint.split(",") if part.strip())
        for endpoint in endpoints or ("",):
            host, colon, port = endpoint.rpartition(":")
            if not (host and colon and port.isdigit() and 0 < int(port) < 65536):
                raise ValueError(f"AAI_ASR_ENDPOINT: {endpoint!r} is not host:port")
        return endpoints

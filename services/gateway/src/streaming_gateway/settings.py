"""The gateway's environment; the vendor's names are accepted beside ours."""

from pathlib import Path
from typing import Self

from pydantic import AliasChoices, Field, field_validator, model_validator
from service_kit.settings import ServiceSettings

from streaming_gateway.connection import Patience
from streaming_gateway.link import LinkSettings
from streaming_gateway.parameters import Universal3Defaults
from streaming_gateway.parameters.fields import LEAST_CHECK_MS, MOST_CHECK_MS
from streaming_gateway.turns import LONGEST_SILENCE_MS


class GatewaySettings(ServiceSettings):
    """One field a variable; seconds and bytes in the names."""

    host: str = Field(default="0.0.0.0", validation_alias="HOST", description="Address for clients and metrics.")
    port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("AAI_WSS_PORT", "SERVER_PORT"),
        description="WebSocket port; 0 takes a free one.",
    )
    tls_cert_file: Path | None = Field(
        default=None,
        validation_alias="TLS_CERT_FILE",
        description="PEM: certificate and intermediates for wss at the clients' port, reloaded when changed; "
        "unset: ws, for a proxy in front that ends TLS.",
    )
    tls_key_file: Path | None = Field(
        default=None, validation_alias="TLS_KEY_FILE", description="PEM: the key of TLS_CERT_FILE."
    )
    metrics_port: int = Field(default=9090, ge=0, le=65535, validation_alias="METRICS_PORT")
    asr_endpoint: str = Field(
        default="127.0.0.1:50050",
        validation_alias="AAI_ASR_ENDPOINT",
        description="host:port of the load balancer; several, separated by commas.",
    )
    asr_secure: bool = Field(default=False, validation_alias="AAI_USE_SECURE_CHANNEL_TO_ASR_SERVICE")
    asr_ca_file: Path | None = Field(
        default=None,
        validation_alias="ASR_CA_FILE",
        description="PEM: who may vouch for the load balancer of a secure channel; unset: the public authorities.",
    )
    license_endpoint: str | None = Field(
        default=None,
        validation_alias="AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT",
        description="URL of the licence proxy; unset: development, nothing is checked or metered.",
    )
    lease_endpoint: str | None = Field(
        default=None,
        validation_alias="LEASE_ENDPOINT",
        description="URL of the one licence proxy that counts the sessions of all gateways, and knows spent tokens; "
        "unset: the same.",
    )
    models: str | None = Field(
        default=None,
        validation_alias="GATEWAY_MODELS",
        description="JSON list of {speech_model, route, route_aliases, family, default}.",
    )
    models_file: Path | None = Field(
        default=None, validation_alias="GATEWAY_MODELS_FILE", description="The same in a file, reloaded when changed."
    )
    default_speech_model: str | None = Field(default=None, validation_alias="DEFAULT_SPEECH_MODEL")
    speech_model_aliases: bool = Field(default=True, validation_alias="SPEECH_MODEL_ALIASES")
    universal3_min_turn_silence: int = Field(
        default=Universal3Defaults.min_turn_silence,
        ge=LEAST_CHECK_MS,
        le=MOST_CHECK_MS,
        validation_alias="UNIVERSAL_3_MIN_TURN_SILENCE",
        description="Milliseconds, for clients of Universal-3 that say nothing.",
    )
    universal3_max_turn_silence: int = Field(
        default=Universal3Defaults.max_turn_silence,
        ge=1,
        le=LONGEST_SILENCE_MS,
        validation_alias="UNIVERSAL_3_MAX_TURN_SILENCE",
        description="The same.",
    )
    universal3_vad_threshold: float = Field(
        default=Universal3Defaults.vad_threshold,
        ge=0,
        le=1,
        validation_alias="UNIVERSAL_3_VAD_THRESHOLD",
        description="The same: below this speech probability a frame is silence.",
    )
    api_keys_file: Path | None = Field(
        default=None,
        validation_alias="API_KEYS_FILE",
        description="Lines of sha256, name and limits; unset: any non-empty credential.",
    )
    token_secret_file: Path | None = Field(
        default=None,
        validation_alias="TOKEN_SECRET_FILE",
        description="Secrets of 32 bytes or more, one a line, for the tokens of /v3/token: the first signs, all of "
        "them verify; the same for every gateway of a stack. Unset: no tokens.",
    )
    single_use_tokens: bool = Field(
        default=False,
        validation_alias="SINGLE_USE_TOKENS",
        description="A token opens one session only, over all gateways of LEASE_ENDPOINT; needs API_KEYS_FILE.",
    )
    spool_dir: Path | None = Field(
        default=None, validation_alias="SPOOL_DIR", description="Undelivered usage; unset: in memory only."
    )
    spool_sessions: int = Field(default=1_000_000, ge=1, validation_alias="SPOOL_SESSIONS")
    max_sessions: int = Field(default=48, ge=1, validation_alias="MAX_SESSIONS")
    max_session_seconds: int = Field(default=10_800, ge=1, le=10_800, validation_alias="MAX_SESSION_SECONDS")
    max_backlog_seconds: float = Field(default=300, gt=0, validation_alias="MAX_BACKLOG_SECONDS")
    buffer_seconds: float = Field(
        default=60,
        gt=0,
        validation_alias="BUFFER_SECONDS",
        description="Longest time without any recogniser, unless a model's buffer_seconds is longer; "
        "beyond four minutes raise MAX_BACKLOG_SECONDS too.",
    )
    budget_bytes: int = Field(
        default=512 * 1024 * 1024,
        gt=0,
        validation_alias="BUDGET_BYTES",
        description="Audio held for all sessions together: backlogs, and what a replay would send again.",
    )
    max_unread_bytes: int = Field(
        default=1024 * 1024,
        ge=4096,
        validation_alias="MAX_UNREAD_BYTES",
        description="Of one client that reads slowly.",
    )
    ping_interval_seconds: float = Field(
        default=20, gt=0, validation_alias="PING_INTERVAL_SECONDS", description="Between pings to each client."
    )
    ping_timeout_seconds: float = Field(
        default=40,
        gt=0,
        validation_alias="PING_TIMEOUT_SECONDS",
        description="Until a client that answers no ping is taken for gone; one that is only busy answers sooner.",
    )
    drain_seconds: float = Field(default=10_800, ge=0, validation_alias="DRAIN_SECONDS")
    pod_uid: str | None = Field(
        default=None,
        validation_alias="POD_UID",
        description="Who knows it may end a drain sooner: POST /drain?seconds=N at the metrics port.",
    )
    check_contract: bool = Field(default=False, validation_alias="CHECK_CONTRACT")

    @field_validator("license_endpoint", "lease_endpoint")
    @classmethod
    def _with_scheme(cls, endpoint: str | None) -> str | None:
        return f"http://{endpoint}" if endpoint and "://" not in endpoint else endpoint or None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE: give both, or neither")
        return self

    @model_validator(mode="after")
    def _once_needs_keys(self) -> Self:
        if self.single_use_tokens and self.api_keys_file is None:
            raise ValueError("SINGLE_USE_TOKENS: without API_KEYS_FILE any text opens sessions; set both, or neither")
        return self

    @property
    def counting_endpoint(self) -> str | None:
        """URL of the licence proxy that all gateways tell; None: this gateway is all there is."""
        return self.lease_endpoint or self.license_endpoint

    @property
    def patience(self) -> Patience:
        """With a client that does not read, or is gone."""
        return Patience(self.max_unread_bytes, self.ping_interval_seconds, self.ping_timeout_seconds)

    def universal3(self) -> Universal3Defaults:
        """What clients of Universal-3 get that say nothing."""
        return Universal3Defaults(
            self.universal3_min_turn_silence, self.universal3_max_turn_silence, self.universal3_vad_threshold
        )

    def link(self) -> LinkSettings:
        """Settings of the way to the recognisers; raises ValueError naming the field."""
        endpoints = tuple(part.strip() for part in self.asr_endpoint.split(",") if part.strip())
        return LinkSettings(
            endpoints=endpoints,
            secure=self.asr_secure,
            ca_file=self.asr_ca_file,
            buffer_seconds=self.buffer_seconds,
            budget_bytes=self.budget_bytes,
            check_contract=self.check_contract,
        )

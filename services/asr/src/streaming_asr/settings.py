"""The recogniser's settings, from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field
from pydantic_settings import NoDecode
from service_kit.settings import ServiceSettings


class RecogniserSettings(ServiceSettings):
    """One recogniser: one route, one Triton."""

    host: str = Field(default="0.0.0.0", validation_alias="HOST", description="Address to listen on.")
    port: int = Field(default=50051, ge=0, le=65535, validation_alias=AliasChoices("ASR_PORT", "SERVER_PORT"))
    metrics_port: int = Field(default=9090, ge=0, le=65535, validation_alias="METRICS_PORT")
    route: str = Field(validation_alias="ROUTE", min_length=1, description="The X-Model-Version served here.")
    replacing: bool = Field(
        default=False,
        validation_alias="REPLACING",
        description="Checkpoints carry the whole segment (Universal-3) instead of the words after the last final one.",
    )
    triton_url: str = Field(default="127.0.0.1:8001", validation_alias="TRITON_URL", description="gRPC host:port.")
    vad_model: Path = Field(validation_alias="VAD_MODEL", description="Silero VAD, ONNX.")
    max_open_streams: int = Field(default=28, ge=1, validation_alias="MAX_OPEN_STREAMS")
    max_replays: int = Field(default=4, ge=1, validation_alias="MAX_REPLAYS")
    left_context_ms: int = Field(
        default=24_000,
        ge=0,
        validation_alias="LEFT_CONTEXT_MS",
        description="The longest window, and what is heard before a segment as context.",
    )
    drain_seconds: float = Field(default=20.0, ge=0, validation_alias="DRAIN_SECONDS")
    languages: Annotated[str, NoDecode] = Field(
        default="", validation_alias="LANGUAGES", description="ISO 639-1, comma separated; empty: the model's own."
    )

"""The settings of Triton in a container, from the environment; the models read their own (WHISPER_*)."""

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import NoDecode
from service_kit.settings import ServiceSettings

from streaming_asr.triton.launch import TritonPlan


class TritonSettings(ServiceSettings):
    """One Triton: which models, where it listens, what it runs on."""

    model_repository: Path = Field(validation_alias="TRITON_MODEL_REPOSITORY", description="Triton's models.")
    models: Annotated[str, NoDecode] = Field(
        default="whisper,smart_turn",
        validation_alias="TRITON_MODELS",
        pattern=r"^[a-z0-9_]+(,[a-z0-9_]+)*$",
        description="Which of them to load, comma separated.",
    )
    host: str = Field(default="0.0.0.0", validation_alias="HOST", description="Address of health and metrics.")
    grpc_host: str = Field(default="127.0.0.1", validation_alias="TRITON_GRPC_HOST", description="Of inference.")
    http_port: int = Field(default=8000, ge=1, le=65535, validation_alias="TRITON_HTTP_PORT")
    grpc_port: int = Field(default=8001, ge=1, le=65535, validation_alias="TRITON_GRPC_PORT")
    metrics_port: int = Field(default=8002, ge=1, le=65535, validation_alias="TRITON_METRICS_PORT")
    state: Path = Field(
        default_factory=lambda: Path(tempfile.gettempdir()) / "triton",
        validation_alias="STATE_DIR",
        description="A writable folder for links and rendered configuration.",
    )
    root: Path | None = Field(
        default=None, validation_alias="TRITON_ROOT", description="An installed Triton; unset: the one of the wheel."
    )
    device: Literal["cpu", "gpu"] = Field(default="cpu", validation_alias="WHISPER_DEVICE")

    def plan(self, model_repository: Path, http_secret: str) -> TritonPlan:
        """What to start, with the models of `model_repository`."""
        return TritonPlan(
            model_repository=model_repository,
            state=self.state,
            http_port=self.http_port,
            grpc_port=self.grpc_port,
            metrics_port=self.metrics_port,
            host=self.grpc_host,
            models=tuple(self.models.split(",")),
            open_host=self.host,
            http_secret=http_secret,
        )

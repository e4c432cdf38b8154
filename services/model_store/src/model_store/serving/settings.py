"""What the model store reads from its environment.

The sources' own variables are read by their libraries: HTTPS_PROXY, NO_PROXY, HF_TOKEN, HF_ENDPOINT, AWS_*, NETRC.
"""

from pathlib import Path

from pydantic import Field
from service_kit.settings import ServiceSettings


class StoreSettings(ServiceSettings):
    """One variable for each field, in capitals."""

    models_file: Path = Field(description="YAML or JSON with `models`; read again whenever it changes.")
    store_dir: Path = Field(default=Path("/var/lib/model-store"), description="Where the models lie; one writer.")
    host: str = Field(default="0.0.0.0")
    server_port: int = Field(default=8080, ge=0, le=65535, description="Serves the models.")
    metrics_port: int = Field(default=9090, ge=0, le=65535)
    poll_seconds: float = Field(default=1.0, gt=0, description="How often the models file is looked at.")
    first_retry_seconds: float = Field(default=5.0, gt=0, description="Before a failed fetch is tried again; doubles.")
    longest_retry_seconds: float = Field(default=300.0, gt=0)
    fetches_at_once: int = Field(default=2, ge=1, le=16)
    file_sources: Path | None = Field(
        default=None, description="file:// is allowed below this folder; absent: nowhere, the disk holds Secrets."
    )
    extra_ca_file: Path | None = Field(
        default=None, description="PEM: certificate authorities of sources and proxies, beside the system's."
    )

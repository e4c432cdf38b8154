"""The adapter's environment."""

from pathlib import Path

from pydantic import Field, field_validator
from service_kit.settings import ServiceSettings


class AdapterSettings(ServiceSettings):
    """One field a variable."""

    watch_namespaces: str = Field(
        default="",
        validation_alias="WATCH_NAMESPACES",
        description="Namespaces, separated by commas; empty: the whole cluster.",
    )
    namespace: str = Field(
        default="streamingstack-system", validation_alias="POD_NAMESPACE", description="Where the adapter runs."
    )
    kubeconfig: Path | None = Field(
        default=None,
        validation_alias="ADAPTER_KUBECONFIG",
        description="Unset: the pod's service account, else KUBECONFIG.",
    )
    serve_api: bool = Field(
        default=True,
        validation_alias="SERVE_METRICS_API",
        description="Serve and register custom.metrics.k8s.io, for HPAs; else only KEDA's external scaler.",
    )
    service: str = Field(
        default="streaming-metrics-adapter",
        min_length=1,
        validation_alias="SERVICE_NAME",
        description="The Service before the adapter: in the certificate and in the registration.",
    )
    service_port: int = Field(default=443, ge=1, le=65535, validation_alias="SERVICE_PORT", description="Of it.")
    tls_secret: str = Field(
        default="streaming-metrics-adapter-tls",
        min_length=1,
        validation_alias="TLS_SECRET",
        description="The Secret in which replicas share CA and certificate; it has to exist, empty at first.",
    )
    owner: str = Field(
        default="",
        validation_alias="OWNER_CLUSTER_ROLE",
        description="The ClusterRole with which the registration goes. Empty: nothing takes it away.",
    )
    api_port: int = Field(default=6443, ge=0, le=65535, validation_alias="API_PORT", description="HTTPS.")
    probe_port: int = Field(default=8080, ge=0, le=65535, validation_alias="PROBE_PORT", description="Probes, metrics.")
    scaler_port: int = Field(
        default=9091, ge=0, le=65535, validation_alias="SCALER_PORT", description="KEDA's external scaler, gRPC."
    )
    scrape_seconds: float = Field(
        default=10, ge=0.1, le=60, validation_alias="SCRAPE_SECONDS", description="How often pods are asked."
    )
    stale_seconds: float = Field(
        default=30,
        ge=0.1,
        le=600,
        validation_alias="STALE_SECONDS",
        description="After so long without a word a pod has no value.",
    )

    @field_validator("watch_namespaces")
    @classmethod
    def _names(cls, text: str) -> str:
        return ",".join(sorted({name.strip() for name in text.split(",") if name.strip()}))

    @property
    def namespaces(self) -> list[str]:
        """Namespaces to watch; empty: all."""
        return self.watch_namespaces.split(",") if self.watch_namespaces else []

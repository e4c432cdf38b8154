"""The operator's environment."""

from pathlib import Path

from pydantic import Field, field_validator
from service_kit.settings import ServiceSettings

from streaming_operator.facts import Images


class OperatorSettings(ServiceSettings):
    """One field a variable; images have no default, so that no release ever runs another's by accident."""

    image_gateway: str = Field(validation_alias="IMAGE_GATEWAY", min_length=1)
    image_license_proxy: str = Field(validation_alias="IMAGE_LICENSE_PROXY", min_length=1)
    image_load_balancer: str = Field(validation_alias="IMAGE_LOAD_BALANCER", min_length=1)
    image_asr: str = Field(validation_alias="IMAGE_ASR", min_length=1)
    image_asr_gpu: str = Field(validation_alias="IMAGE_ASR_GPU", min_length=1)
    image_model_store: str = Field(validation_alias="IMAGE_MODEL_STORE", min_length=1)
    image_sync_api: str = Field(validation_alias="IMAGE_SYNC_API", min_length=1)
    watch_namespaces: str = Field(
        default="",
        validation_alias="WATCH_NAMESPACES",
        description="Namespaces, separated by commas; empty: the whole cluster.",
    )
    operator_namespace: str = Field(
        default="streamingstack-system", validation_alias="POD_NAMESPACE", description="Where the operator runs."
    )
    pod_name: str = Field(default="streaming-operator", validation_alias="POD_NAME", description="For events.")
    kubeconfig: Path | None = Field(
        default=None,
        validation_alias="OPERATOR_KUBECONFIG",
        description="Unset: the pod's service account, else KUBECONFIG.",
    )
    probe_port: int = Field(default=8080, ge=0, le=65535, validation_alias="PROBE_PORT", description="Probes, metrics.")
    workers: int = Field(default=4, ge=1, le=64, validation_alias="WORKERS", description="Stacks at once.")
    resync_seconds: float = Field(default=300, ge=1, le=86400, validation_alias="RESYNC_SECONDS")
    readings_seconds: float = Field(
        default=10, ge=1, le=3600, validation_alias="READINGS_SECONDS", description="How often pods' metrics are read."
    )
    unlisted_seconds: float = Field(
        default=90,
        ge=0,
        le=3600,
        validation_alias="UNLISTED_SECONDS",
        description="How long kubelets may take to carry a new list of models to the gateways.",
    )
    cluster_dns: str | None = Field(
        default=None, validation_alias="CLUSTER_DNS", description="Name of the cluster's DNS Service."
    )
    cluster_domain: str | None = Field(
        default=None, validation_alias="CLUSTER_DOMAIN", description="Unset: as /etc/resolv.conf says."
    )
    scaler_address: str | None = Field(
        default=None, validation_alias="SCALER_ADDRESS", description="host:port of the external scaler, for KEDA."
    )

    withdraw_metrics_api: bool = Field(
        default=False,
        validation_alias="WITHDRAW_METRICS_API",
        description="Take the metrics adapter's registration away while no adapter answers.",
    )

    @field_validator("watch_namespaces")
    @classmethod
    def _names(cls, text: str) -> str:
        return ",".join(sorted({name.strip() for name in text.split(",") if name.strip()}))

    @property
    def namespaces(self) -> list[str]:
        """Namespaces to watch; empty: all."""
        return self.watch_namespaces.split(",") if self.watch_namespaces else []

    def images(self) -> Images:
        """Images of every part."""
        return Images(
            gateway=self.image_gateway,
            license_proxy=self.image_license_proxy,
            load_balancer=self.image_load_balancer,
            asr=self.image_asr,
            asr_gpu=self.image_asr_gpu,
            model_store=self.image_model_store,
            sync_api=self.image_sync_api,
        )


def cluster_domain(resolv_conf: str) -> str | None:
    """The cluster's domain, as the search list of a pod has it: `NAMESPACE.svc.cluster.local svc.cluster.local ...`."""
    for line in resolv_conf.splitlines():
        words = line.split()
        if words[:1] == ["search"]:
            for word in words[1:]:
                if word.startswith("svc."):
                    return word.removeprefix("svc.").rstrip(".")
    return None

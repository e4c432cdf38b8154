"""What surrounds the data path: the model store, the walls, autoscaling, images, certificates, what is observed."""

from typing import Annotated, Literal

from pydantic import Field

from stack_model.api.base import Distinct, Rule, SpecModel
from stack_model.api.pods import Pods, Resources
from stack_model.api.storage import LargeStorage
from stack_model.api.text import Cidr, DataKey, HttpUrl, Image, Labels, Names, ObjectName, Registry

SCRAPE_SECONDS = 30


def _store_resources() -> Resources:
    return Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "1Gi"})


class ModelStore(SpecModel):
    """Fetches models once, verifies them and serves them inside the namespace; it never sees audio."""

    storage: LargeStorage = Field(
        default_factory=LargeStorage, description="Volume that holds every model of the stack."
    )
    credentials_secret_name: ObjectName | None = Field(
        default=None,
        description="Secret whose keys become environment variables of the store, such as HF_TOKEN or "
        "AWS_ACCESS_KEY_ID.",
    )
    resources: Resources = Field(default_factory=_store_resources, description="CPU and memory of the pod.")
    pods: Pods = Field(default_factory=Pods, description="Overrides for the pod.")


class Peer(SpecModel):
    """Pods of this or another namespace, by labels."""

    namespace_labels: Labels = Field(
        default_factory=dict,
        description="Labels of the namespace, such as kubernetes.io/metadata.name; empty: the stack's own namespace.",
    )
    pod_labels: Labels = Field(default_factory=dict, description="Labels of the pods; empty: every pod.")


class NetworkIsolation(SpecModel):
    """The walls: no part but the licence proxy and the model store reaches the outside."""

    enabled: bool = Field(default=True, description="Whether NetworkPolicies are made.")
    egress_cidrs: Annotated[list[Cidr], Field(max_length=64), Distinct()] = Field(
        default_factory=list,
        description="Addresses that the licence proxy and the model store may reach on port 443; empty: every "
        "address on port 443.",
    )
    proxy_url: HttpUrl | None = Field(
        default=None,
        description="HTTP proxy through which the licence proxy and the model store leave; egressCidrs are then the "
        "addresses of the proxy, on its port.",
    )
    ca_bundle_config_map: ObjectName | None = Field(
        default=None, description="ConfigMap with certificates that are trusted beside the public ones."
    )
    ca_bundle_key: DataKey = Field(default="ca.crt", description="Key inside that ConfigMap: PEM.")
    clients_from: Annotated[list[Peer], Field(max_length=16)] = Field(
        default_factory=list,
        description="Who may open sessions at the gateway's pods, such as the ingress controller; empty: everybody.",
    )
    metrics_from: Annotated[list[Peer], Field(max_length=16)] = Field(
        default_factory=list,
        description="Who may read metrics, such as Prometheus, beside the operator; empty: every pod of the "
        "cluster, on the metrics port alone.",
    )


class Autoscaling(SpecModel):
    """Who sizes the gateway and the pools."""

    provider: Literal["HPA", "KEDA", "None"] = Field(
        default="HPA",
        description="`HPA` works on a plain cluster, `KEDA` makes ScaledObjects, `None` leaves sizes at minReplicas "
        "and then to you.",
    )


class ImageOverrides(SpecModel):
    """Whole references for some parts; they win over `registry`."""

    gateway: Image | None = Field(default=None, description="Image of the gateway.")
    license_proxy: Image | None = Field(default=None, description="Image of the licence proxy.")
    load_balancer: Image | None = Field(default=None, description="Image of the load balancer.")
    asr: Image | None = Field(default=None, description="Image of recognisers on CPU.")
    asr_gpu: Image | None = Field(default=None, description="Image of recognisers with a GPU.")
    model_store: Image | None = Field(default=None, description="Image of the model store.")
    sync_api: Image | None = Field(default=None, description="Image of the sync API.")


class Images(SpecModel):
    """Which images run, and where they come from."""

    flavour: Literal["StreamingStack", "Vendor"] = Field(
        default="StreamingStack",
        description="`Vendor` runs AssemblyAI's self-hosted images: gateway, licence proxy and every model together, "
        "each named in overrides and models[].image; the load balancer stays.",
    )
    registry: Registry | None = Field(
        default=None,
        description="Registry and folder in place of the operator's, for every image that is not overridden.",
    )
    pull_secrets: Names = Field(default_factory=list, description="Secrets with which images are pulled.")
    overrides: ImageOverrides = Field(default_factory=ImageOverrides, description="Images by part.")

    rules = (
        Rule(
            "self.flavour != 'Vendor' || (has(self.overrides.gateway) && has(self.overrides.licenseProxy))",
            "images.overrides: flavour: Vendor needs gateway and licenseProxy, from the vendor's registry and release",
            lambda it: it.flavour != "Vendor" or None not in (it.overrides.gateway, it.overrides.license_proxy),
        ),
    )


class InternalTls(SpecModel):
    """TLS between the stack's own parts."""

    secret_name: ObjectName | None = Field(
        default=None,
        description="Not served yet. Secret of type kubernetes.io/tls with ca.crt, for the names of the stack's "
        "Services.",
    )

    rules = (
        Rule(
            "!has(self.secretName)",
            "tls.internal.secretName: not served yet; leave it out and let networkIsolation or a "
            "service mesh guard the parts",
            lambda it: it.secret_name is None,
        ),
    )


class Tls(SpecModel):
    """Certificates inside the stack."""

    internal: InternalTls = Field(
        default_factory=InternalTls, description="TLS between the stack's own parts; not served yet."
    )


class Tracing(SpecModel):
    """OpenTelemetry: one trace from the WebSocket to the engine, by session id."""

    endpoint: HttpUrl | None = Field(
        default=None, description="Not served yet. URL of an OTLP collector; absent: no traces."
    )

    rules = (
        Rule(
            "!has(self.endpoint)",
            "observability.tracing.endpoint: not served yet; leave it out",
            lambda it: it.endpoint is None,
        ),
    )


class PodMonitor(SpecModel):
    """How the Prometheus operator finds the stack's metrics."""

    enabled: bool = Field(default=True, description="Whether a PodMonitor is made, where the cluster knows the kind.")
    labels: Labels = Field(default_factory=dict, description="Labels by which a Prometheus selects it.")
    interval_seconds: int = Field(default=SCRAPE_SECONDS, ge=5, le=3600, description="How often metrics are read.")


class Observability(SpecModel):
    """What is seen from outside: never audio, never text."""

    tracing: Tracing = Field(default_factory=Tracing, description="OpenTelemetry traces; not served yet.")
    pod_monitor: PodMonitor = Field(default_factory=PodMonitor, description="Metrics for the Prometheus operator.")


def _sync_resources() -> Resources:
    return Resources(requests={"cpu": "200m", "memory": "512Mi"}, limits={"memory": "1Gi"})


class SyncApi(SpecModel):
    """`POST /transcribe` for whole recordings, on the same pools and never in the way of live sessions.

    Its keys are the gateway's (gateway.auth), and so are the overrides for its pods (gateway.pods).
    """

    enabled: bool = Field(default=False, description="Whether it runs.")
    replicas: int = Field(default=2, ge=1, le=100, description="Number of pods; each takes 8 recordings at a time.")
    resources: Resources = Field(default_factory=_sync_resources, description="CPU and memory of one pod.")

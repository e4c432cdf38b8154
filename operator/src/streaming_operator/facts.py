"""What the operator knows of the world, as plain values: gathered by `inputs` and `observe`, read by the pure cores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from stack_model.api import Model


@dataclass(frozen=True)
class Images:
    """References of our images, as the operator was told by its environment."""

    gateway: str
    license_proxy: str
    load_balancer: str
    asr: str
    asr_gpu: str
    model_store: str
    sync_api: str


@dataclass(frozen=True)
class LicenseFact:
    """What the licence Secret holds; `expires` is set where the signature holds."""

    state: Literal["Missing", "Unreadable", "Forged", "NoPublicKeys", "Genuine"]
    detail: str = ""
    expires: datetime | None = None
    customer: str = ""
    resource_version: str = ""


@dataclass(frozen=True)
class Inputs:
    """Everything beside the object itself that its children depend on."""

    images: Images
    license: LicenseFact
    # Optional APIs that this cluster serves, as "group/version/Kind".
    apis: frozenset[str] = frozenset()
    # Secrets and ConfigMaps that the stack names and that are missing, as "Secret/name" or "Secret/name[key]".
    missing: frozenset[str] = frozenset()
    # Hash of the first API key, where the operator made one; None where the user's Secret is used.
    first_key_hash: str | None = None
    # StorageClasses by name, and whether each is the default one; None where they cannot be listed: claims then tell.
    storage_classes: Mapping[str, bool] | None = None
    # Models that are no longer in the spec and still have streams, as their pools were last applied (read back from the
    # annotation names.MODEL of each pool's Deployment): their pools and routes stay, unlisted, until they are empty.
    leaving: tuple[Model, ...] = ()
    # What pods read only when they start: "Secret/name" or "ConfigMap/name" to a digest of its data. It rolls them.
    versions: Mapping[str, str] = field(default_factory=dict)
    # How many licence proxies must stay though fewer are wanted: the highest ordinal with undelivered usage, plus one.
    undelivered_proxies: int = 0
    # Kubernetes mounts images as volumes (1.35 and newer, with a runtime that does); else they are copied from.
    image_volumes: bool = False
    cluster_dns: str = "kube-dns.kube-system.svc.cluster.local"
    cluster_domain: str = "cluster.local"
    # Where the operator runs: it reads the pods' metrics and the licence proxies' states from there.
    operator_namespace: str = "streamingstack-system"
    # host:port of the metrics adapter's external scaler, for KEDA; None where there is none.
    scaler_address: str | None = None
    # Labels of the nodes with cards, as GPU feature discovery writes them; None where nodes cannot be listed.
    gpu_nodes: tuple[Mapping[str, str], ...] | None = None


@dataclass(frozen=True)
class PodsFact:
    """The pods of one component or pool."""

    desired: int = 0
    ready: int = 0
    draining: int = 0
    # Live sessions or streams, and how many fit; None where no pod said.
    active: int | None = None
    capacity: int | None = None
    draining_active: int | None = None
    # Why pods do not start, as (reason, message): ImagePullBackOff, Unschedulable, a quota, CrashLoopBackOff,
    # LoadingModel...
    blocked: tuple[tuple[str, str], ...] = ()
    # Deployed generation is the wanted one and fully rolled.
    rolled: bool = True
    # Creation of the oldest pod that has started and is not ready yet: what it loads, it loads since then.
    loading_since: datetime | None = None


@dataclass(frozen=True)
class ChildFailure:
    """A child that the API server refused, or that belongs to somebody else."""

    kind: str
    name: str
    reason: Literal["Refused", "NameConflict", "Immutable", "ApiMissing", "Quota"]
    message: str


@dataclass(frozen=True)
class Observed:
    """What is there now."""

    gateway: PodsFact = field(default_factory=PodsFact)
    license_proxy: PodsFact = field(default_factory=PodsFact)
    load_balancer: PodsFact = field(default_factory=PodsFact)
    model_store: PodsFact = field(default_factory=PodsFact)
    sync_api: PodsFact = field(default_factory=PodsFact)
    models: Mapping[str, PodsFact] = field(default_factory=dict)
    # As /v1/status of the licence proxies tells it; None where none answers.
    license_state: str | None = None
    trust_expiration: datetime | None = None
    usage_backlog: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    # Why the model store does not have a model yet, by model.
    fetch_errors: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[ChildFailure, ...] = ()
    # HPA's own conditions that say it cannot scale, as (name, message).
    scaling_blocked: tuple[tuple[str, str], ...] = ()
    route_accepted: tuple[bool, str] | None = None
    # The gateway's rollout, one that is under way too, waits until fewer of its pods drain.
    gateway_held: bool = False

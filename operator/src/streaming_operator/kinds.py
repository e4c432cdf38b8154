"""Stacks and the kinds of their children: how each is addressed and what of it is watched. Pure."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from streaming_operator import names


class Key(NamedTuple):
    """One StreamingStack."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Kind:
    """One kind of object. `watched`: only its metadata, or the whole object, of which a part of the status is kept."""

    group: str
    version: str
    name: str
    plural: str
    watched: Literal["metadata", "whole"] = "metadata"
    # Served only where somebody installed it.
    optional: bool = False

    @property
    def api_version(self) -> str:
        """`group/version`, as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def id(self) -> str:
        """`group/version/Kind`, as in `facts.Inputs.apis`."""
        return f"{self.api_version}/{self.name}"

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """The path on the API server; without a namespace all of them."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(parts)


STACK = Kind(names.GROUP, "v1alpha1", "StreamingStack", "streamingstacks")
EVENT = Kind("", "v1", "Event", "events")
POD = Kind("", "v1", "Pod", "pods", "whole")
SECRET = Kind("", "v1", "Secret", "secrets")
CONFIG_MAP = Kind("", "v1", "ConfigMap", "configmaps")
NODE = Kind("", "v1", "Node", "nodes")
STORAGE_CLASS = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses")
CUSTOM_RESOURCE_DEFINITION = Kind("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions")
API_SERVICE = Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices")
DEPLOYMENT = Kind("apps", "v1", "Deployment", "deployments", "whole")
STATEFUL_SET = Kind("apps", "v1", "StatefulSet", "statefulsets", "whole")
AUTOSCALER = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", "whole")
HTTP_ROUTE = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", "whole", optional=True)

# In the order in which they are applied: what pods need first, what shuts the network before what opens a pod.
CHILDREN = (
    SECRET,
    CONFIG_MAP,
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Kind("", "v1", "Service", "services"),
    DEPLOYMENT,
    STATEFUL_SET,
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    AUTOSCALER,
    Kind("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", "whole", optional=True),
    HTTP_ROUTE,
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses"),
    Kind("cloud.google.com", "v1", "BackendConfig", "backendconfigs", optional=True),
    Kind("monitoring.coreos.com", "v1", "PodMonitor", "podmonitors", optional=True),
)
# Kinds without which every session goes on as before.
BESIDE_TRAFFIC = frozenset({"PodDisruptionBudget", "HorizontalPodAutoscaler", "ScaledObject", "PodMonitor"})
OPTIONAL = tuple(kind for kind in CHILDREN if kind.optional)
_BY_API = {(kind.api_version, kind.name): kind for kind in CHILDREN}


def child_kind(api_version: str, name: str) -> Kind:
    """The kind of a child; raises KeyError for one that the operator neither watches nor may write."""
    return _BY_API[api_version, name]


def rank(kind: Kind) -> int:
    """The place in the order of application."""
    return CHILDREN.index(kind)

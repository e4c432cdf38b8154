"""What a cluster lacks for this stack. Pure: each check takes the facts and says what it found."""

import re
from collections.abc import Iterator
from dataclasses import replace

from stack_model.api import StreamingStack
from stack_model.api.storage import Storage
from streaming_operator.checks.cards import too_small
from streaming_operator.children.config import stored
from streaming_operator.render import usual_inputs

from streamingstack_cli.doctor.facts import Facts, Finding, Level

# Sidecar containers and the sleep before a stop.
_OLDEST = (1, 30)
_STACK_KIND = "streamingstack.dev/v1alpha1/StreamingStack"
_ROUTE_KIND = "gateway.networking.k8s.io/v1/HTTPRoute"
_KEDA_KIND = "keda.sh/v1alpha1/ScaledObject"
_POD_MONITOR_KIND = "monitoring.coreos.com/v1/PodMonitor"
_METRICS_API = "custom.metrics.k8s.io/"
# Whose groups and agents enforce NetworkPolicies.
_ENFORCING_GROUPS = (
    "crd.projectcalico.org/", "projectcalico.org/", "cilium.io/", "crd.antrea.io/", "networking.k8s.aws/",
    "kubeovn.io/", "k8s.ovn.org/",
)  # fmt: skip
_ENFORCING_AGENTS = (
    "calico-node", "canal", "rke2-canal", "cilium", "anetd", "antrea-agent", "weave-net", "kube-router", "azure-npm",
    "ovnkube-node", "kube-network-policies", "kindnet",
)  # fmt: skip
_AUTOSCALER_SECONDS = re.compile(r"--max-graceful-termination-sec[= ](\d+)")
_AUTOSCALER_DEFAULT = 600


def version_is_too_old(facts: Facts) -> Iterator[Finding]:
    """The pods need sidecar containers and a sleep before they stop."""
    if (0, 0) < facts.version < _OLDEST:
        found, oldest = (".".join(map(str, version)) for version in (facts.version, _OLDEST))
        yield Finding(
            Level.STOPS,
            "Kubernetes",
            f"version {found} is too old: pods need sidecar containers",
            f"use {oldest} or newer",
        )


def api_is_missing(facts: Facts) -> Iterator[Finding]:
    """Kinds that the stack uses and the cluster does not know."""
    spec = facts.stack.spec
    if _STACK_KIND not in facts.kinds:
        remedy = "helm install streaming-stack charts/streaming-stack"
        yield Finding(Level.STOPS, "operator", "the cluster does not know StreamingStacks", remedy)
    if spec.gateway.expose.type == "HTTPRoute" and _ROUTE_KIND not in facts.kinds:
        remedy = "install Gateway API and an implementation of it, or set spec.gateway.expose.type: Ingress"
        yield Finding(Level.STOPS, "spec.gateway.expose", "the cluster has no HTTPRoute", remedy)
    if spec.autoscaling.provider == "KEDA" and _KEDA_KIND not in facts.kinds:
        remedy = "install KEDA, or set spec.autoscaling.provider: HPA"
        yield Finding(Level.WEAKENS, "spec.autoscaling", "the cluster has no KEDA: nothing scales", remedy)
    if spec.autoscaling.provider == "HPA" and not _has(facts, _METRICS_API):
        remedy = (
            "let the chart serve it: metricsAdapter.enabled, and metricsAdapter.api: Always in one release; or set "
            "spec.autoscaling.provider: KEDA, or None and use kubectl scale"
        )
        yield Finding(Level.WEAKENS, "spec.autoscaling", "nobody serves custom.metrics.k8s.io: nothing scales", remedy)
    if spec.observability.pod_monitor.enabled and _POD_MONITOR_KIND not in facts.kinds:
        remedy = "install the Prometheus operator, or let your Prometheus find pods by their port named metrics"
        yield Finding(Level.NOTE, "spec.observability", "the cluster has no PodMonitor: no metrics are scraped", remedy)


def entrance_is_missing(facts: Facts) -> Iterator[Finding]:
    """The Gateway or the IngressClass that the stack names."""
    expose = facts.stack.spec.gateway.expose
    if expose.type == "None":
        remedy = "set spec.gateway.expose, unless every client lives in the cluster"
        yield Finding(Level.NOTE, "spec.gateway.expose", "nobody outside of the cluster reaches the gateway", remedy)
    for parent in expose.parent_refs if facts.gateways is not None and _ROUTE_KIND in facts.kinds else []:
        where = f"{parent.namespace or facts.namespace}/{parent.name}"
        listeners = (facts.gateways or {}).get(where)
        if listeners is None:
            remedy = "create it, or name one that is there: kubectl get gateways -A"
            yield Finding(Level.STOPS, "spec.gateway.expose.parentRefs", f"there is no Gateway {where}", remedy)
        elif parent.section_name and parent.section_name not in listeners:
            problem = f"Gateway {where} has no listener {parent.section_name}"
            remedy = f"name one of {', '.join(sorted(listeners))}, or leave sectionName out"
            yield Finding(Level.STOPS, "spec.gateway.expose.parentRefs", problem, remedy)
    if expose.type == "Ingress" and facts.ingress_classes is not None:
        yield from _ingress_class(facts)


def _ingress_class(facts: Facts) -> Iterator[Finding]:
    expose, classes = facts.stack.spec.gateway.expose, facts.ingress_classes or {}
    there = ", ".join(sorted(classes)) or "none"
    if expose.ingress_class_name is None and not any(classes.values()):
        problem, remedy = "no IngressClass is the default", f"set ingressClassName; there: {there}"
        yield Finding(Level.STOPS, "spec.gateway.expose", problem, remedy)
    elif expose.ingress_class_name is not None and expose.ingress_class_name not in classes:
        problem = f"there is no IngressClass {expose.ingress_class_name}"
        yield Finding(Level.STOPS, "spec.gateway.expose", problem, f"install it, or name one of: {there}")
    if expose.tls is None:
        remedy = "set spec.gateway.expose.tls, or end TLS before the Ingress"
        yield Finding(Level.WEAKENS, "spec.gateway.expose", "audio and keys travel in clear to the Ingress", remedy)


def storage_is_missing(facts: Facts) -> Iterator[Finding]:
    """StorageClasses of the claims that this stack makes."""
    if facts.storage_classes is None:
        return
    there = ", ".join(sorted(facts.storage_classes)) or "none"
    for about, storage in _claims(facts.stack):
        name = storage.storage_class_name
        if name is None and not any(facts.storage_classes.values()):
            problem = "no StorageClass is the default: the volume is never made"
            yield Finding(Level.STOPS, about, problem, f"set storageClassName, or mark one as default; there: {there}")
        elif name is not None and name not in facts.storage_classes:
            yield Finding(Level.STOPS, about, f"there is no StorageClass {name}", f"name one of: {there}")


def _claims(stack: StreamingStack) -> Iterator[tuple[str, Storage]]:
    """The vendor's licence proxy keeps nothing, and models that Kubernetes mounts need no store."""
    if stack.spec.images.flavour != "Vendor":
        yield "spec.licenseProxy.storage", stack.spec.license_proxy.storage
    if stored(stack, usual_inputs()):
        yield "spec.modelStore.storage", stack.spec.model_store.storage


def gpus_are_missing(facts: Facts) -> Iterator[Finding]:
    """Cards that the models ask for: none, too few, or too small."""
    if facts.nodes is None:
        return
    labels = tuple(node["metadata"].get("labels") or {} for node in facts.nodes)
    telling = tuple(node for node in labels if any(label.endswith(".memory") for label in node)) or None
    inputs = replace(usual_inputs(), gpu_nodes=telling)
    needed: dict[str, int] = {}
    for model in facts.stack.spec.models:
        if model.gpu is None:
            continue
        about, resource = f"model {model.name}", model.gpu.resource_name
        needed[resource] = needed.get(resource, 0) + model.gpu.count * model.autoscaling.min_replicas
        small = too_small(model, inputs)
        if small is not None:
            problem = f"the largest card is {small}, and it needs {model.gpu.min_memory_gib} GiB"
            yield Finding(Level.STOPS, about, problem, "add nodes with larger cards, or choose a smaller model")
        elif telling is None and _allocatable(facts, resource):
            remedy = "install NVIDIA's GPU feature discovery to have it checked"
            yield Finding(Level.NOTE, about, "no node tells how much memory its cards have", remedy)
    for resource, count in needed.items():
        there = _allocatable(facts, resource)
        if there == 0:
            remedy = "add GPU nodes and their device plugin, or take `gpu` out of the model to run it on CPU"
            yield Finding(Level.STOPS, resource, "no node offers it", remedy)
        elif there < count:
            problem = f"{count} are needed at minReplicas and the cluster has {there}"
            yield Finding(Level.STOPS, resource, problem, "add nodes, unless a node autoscaler will")


def policies_are_not_enforced(facts: Facts) -> Iterator[Finding]:
    """NetworkPolicies are written whether anybody enforces them or not."""
    if not facts.stack.spec.network_isolation.enabled:
        remedy = "set spec.networkIsolation.enabled: true"
        problem = "no walls: every part may reach every address, and every pod may reach every part"
        yield Finding(Level.WEAKENS, "spec.networkIsolation", problem, remedy)
        return
    if any(_has(facts, group) for group in _ENFORCING_GROUPS) or any(
        "+k3s" in str(node.get("status", {}).get("nodeInfo", {}).get("kubeletVersion", ""))
        for node in facts.nodes or ()
    ):
        return
    if facts.workloads is not None and not any(agent in facts.workloads for agent in _ENFORCING_AGENTS):
        problem = "no policy engine that we know runs here: NetworkPolicies may be written and not enforced"
        remedy = "install one (Calico, Cilium, Antrea ...), or prove that yours stops a packet"
        yield Finding(Level.WEAKENS, "spec.networkIsolation", problem, remedy)


def autoscaler_ends_sessions(facts: Facts) -> Iterator[Finding]:
    """A node autoscaler that waits less than a session may last. Our pods ask to be left alone, nodes may still go."""
    longest = facts.stack.spec.gateway.max_session_seconds
    for name, words in (facts.workloads or {}).items():
        if "cluster-autoscaler" not in name:
            continue
        found = _AUTOSCALER_SECONDS.search(" ".join(words))
        seconds = int(found[1]) if found else _AUTOSCALER_DEFAULT
        if seconds < longest:
            problem = f"{name} ends pods {seconds} s after it began to drain a node; sessions last up to {longest} s"
            remedy = f"set --max-graceful-termination-sec={longest + 120}"
            yield Finding(Level.WEAKENS, "node autoscaler", problem, remedy)


def quota_may_refuse(facts: Facts) -> Iterator[Finding]:
    """A quota that is nearly used up refuses pods without a word to the user."""
    for quota in facts.quotas or ():
        status = quota.get("status") or {}
        used, hard = status.get("used") or {}, status.get("hard") or {}
        full = [name for name in hard if name in used and used[name] == hard[name] and hard[name] != "0"]
        if full:
            name = quota["metadata"]["name"]
            problem = f"ResourceQuota {name} is used up: {', '.join(sorted(full))}"
            yield Finding(Level.WEAKENS, "namespace", problem, "raise the quota, or use another namespace")


def _allocatable(facts: Facts, resource: str) -> int:
    amounts = [(node.get("status", {}).get("allocatable") or {}).get(resource, "0") for node in facts.nodes or ()]
    return sum(int(amount) for amount in amounts if str(amount).isdigit())


def _has(facts: Facts, group: str) -> bool:
    return any(kind.startswith(group) for kind in facts.kinds)

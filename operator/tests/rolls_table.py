"""The rows of the table in ARCHITECTURE.md, "What rolls and what reloads", each with changes that show it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from operator_factories import inputs, model, stack
from stack_model.api import StreamingStack
from streaming_operator.facts import Inputs, LicenseFact

GATEWAY, PROXY, BALANCER, STORE, POOL = "gateway", "licence proxy", "load balancer", "model store", "its pool"
SYNC = "sync API"
EVERYTHING = frozenset({GATEWAY, PROXY, BALANCER, STORE, POOL, SYNC})
State = tuple[StreamingStack, Inputs]
Fields = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A field, with changes of it and of nothing else, before and after; `rolls` and `reloads` name parts."""

    field: str
    rolls: frozenset[str]
    reloads: frozenset[str]
    changes: tuple[tuple[State, State], ...]

    @property
    def is_field(self) -> bool:
        """Whether it is about a field of `spec`, and not about what the cluster or several fields say."""
        return " " not in self.field


def _spec(field: str, value: Any) -> Fields:
    """`spec` with this one field."""
    first, _, rest = field.partition(".")
    return {first: _spec(rest, value) if rest else value}


def _merged(one: Fields, other: Fields) -> Fields:
    both = one.keys() & other.keys()
    joined = {key: _merged(one[key], other[key]) for key in both if isinstance(other[key], dict)}
    return {**one, **other, **joined}


def _row(field: str, rolls: set[str], reloads: set[str], *values: Any, usual: Fields | None = None) -> Row:
    """A field of the stack that is given each of these values in turn; the last word of `field` is its name."""
    before = usual or {}
    after = [_merged(before, _spec(field, value)) for value in values]
    changes = tuple(((stack(**before), inputs()), (stack(**one), inputs())) for one in after)
    return Row(field, frozenset(rolls), frozenset(reloads), changes)


def _of_model(field: str, rolls: set[str], reloads: set[str], *values: Any, usual: Fields | None = None) -> Row:
    """The same of a model beside another one; what stands before is `usual`."""
    other = model("multilingual")
    before = usual or {}
    after = [_merged(before, _spec(field, value)) for value in values]
    changes = tuple(
        ((stack(models=[model(**before), other]), inputs()), (stack(models=[model(**one), other]), inputs()))
        for one in after
    )
    return Row(f"models[].{field}", frozenset(rolls), frozenset(reloads), changes)


def _of_facts(field: str, rolls: set[str], reloads: set[str], before: Inputs, after: Inputs, **spec: Any) -> Row:
    return Row(field, frozenset(rolls), frozenset(reloads), (((stack(**spec), before), (stack(**spec), after)),))


_RESOURCES = ({"requests": {"cpu": "2"}}, {"limits": {"memory": "3Gi"}})
_TOLERATION = {"key": "team", "value": "speech", "effect": "NoExecute", "tolerationSeconds": 30}
_NEAR: Fields = {"preferredDuringSchedulingIgnoredDuringExecution": []}
_PODS: tuple[Fields, ...] = (
    {"labels": {"team": "speech"}},
    {"annotations": {"team": "speech"}},
    {"nodeSelector": {"team": "speech"}},
    {"tolerations": [_TOLERATION]},
    *({"affinity": {kind: _NEAR}} for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity")),
    {"priorityClassName": "high"},
    {"env": [{"name": "TMPDIR", "value": "/elsewhere"}]},
)
# It may be of one pod, which is replaced in place: its sessions wait for as long as it starts.
_ONE_POD: Fields = {"rollout": "Replace"}
_TRACKER: Fields = {"endpoint": "https://tracker.example.com", "apiKeySecretName": "tracker"}
_BUNDLE: Fields = {"networkIsolation": {"caBundleConfigMap": "roots"}}
_SYNC: Fields = {"syncApi": {"enabled": True}}
_PEERS = [{"namespaceLabels": {"team": "web"}, "podLabels": {"team": "web"}}]
_INGRESS = {
    "type": "Ingress",
    "hostnames": ["stt.example.com"],
    "ingressClassName": "contour",
    "annotations": {"team": "speech"},
    "tls": {"secretName": "certificate"},
}
_PARENT = {"name": "outside", "namespace": "gateways", "sectionName": "https"}
_FILE = {"path": "model.bin", "parts": ["https://a.example/1"], "sha256": "a" * 64}
_OTHER_FILE = {"path": "other.bin", "parts": ["https://a.example/2"], "sha256": "b" * 64}
_VENDOR: Fields = {
    "images": {"overrides": {"gateway": "vendor.example/api:1", "licenseProxy": "vendor.example/proxy:1"}},
    "models": [model(image="vendor.example/asr:1")],
}


def _licensed(version: str) -> Inputs:
    """With a licence in its Secret."""
    return inputs(license=LicenseFact("Genuine", resource_version=version), versions={"Secret/license": version})


def _license_rows() -> Iterator[Row]:
    yield _of_facts(
        "the licence, renewed",
        set(),
        set(),
        _licensed("1"),
        _licensed("2"),
    )
    vendors = _merged(_VENDOR, {"images": {"flavour": "Vendor"}})
    yield _of_facts("the vendor's licence, renewed", {PROXY}, set(), _licensed("1"), _licensed("2"), **vendors)
    yield _row("license.secretName", {PROXY}, set(), "other")
    yield _row("license.key", {PROXY}, set(), "other.jwt")
    yield _row("license.publicKeysConfigMap", {PROXY}, set(), "other")
    yield _row("license.publicKeysKey", {PROXY}, set(), "other.json")
    yield _row("licenseProxy.replicas", set(), set(), 3)
    yield _row("licenseProxy.checkInEndpoint", {PROXY}, set(), "https://a.example")
    yield _row("licenseProxy.usage", {PROXY}, set(), _TRACKER)
    yield _of_facts(
        "the usage tracker's key",
        {PROXY},
        set(),
        inputs(versions={"Secret/tracker": "1"}),
        inputs(versions={"Secret/tracker": "2"}),
        licenseProxy={"usage": _TRACKER},
    )
    yield _row("licenseProxy.storage", set(), set(), {"size": "2Gi"}, {"storageClassName": "fast"})
    yield _row("licenseProxy.resources", {PROXY}, set(), *_RESOURCES)
    yield _row("licenseProxy.pods", {PROXY}, set(), *_PODS)


def _gateway_rows() -> Iterator[Row]:
    yield _of_facts(
        "an API key and its limits", set(), {GATEWAY}, inputs(first_key_hash="a" * 64), inputs(first_key_hash="b" * 64)
    )
    auths: tuple[Fields, ...] = ({"secretName": "ours"}, {"mode": "AnyNonEmpty"})
    yield _row("gateway.auth", {GATEWAY, SYNC}, set(), *auths, usual=_SYNC)
    yield _row("gateway.auth.singleUseTokens", {GATEWAY}, set(), True, usual=_SYNC)
    yield _row("gateway.maxSessionSeconds", {GATEWAY, BALANCER}, set(), 600)
    yield _row("gateway.sessions.targetPerPod", set(), set(), 30)
    yield _row("gateway.sessions.maxPerPod", {GATEWAY}, set(), 50)
    yield _row("gateway.defaultSpeechModel", set(), {GATEWAY}, "universal-streaming-en-default")
    sizes = ({"minReplicas": 3}, {"maxReplicas": 30}, {"headroomSessions": 9})
    yield _row("gateway.autoscaling", set(), set(), *sizes)
    yield _row("gateway.maxDrainingPods", set(), set(), 3)
    yield _row("gateway.expose", set(), set(), _INGRESS, {"type": "HTTPRoute", "parentRefs": [_PARENT]})
    yield _row("gateway.resources", {GATEWAY}, set(), *_RESOURCES)
    yield _row("gateway.pods", {GATEWAY, SYNC}, set(), *_PODS, usual=_SYNC)
    yield _row("loadBalancer.replicas", set(), set(), 3)
    yield _row("loadBalancer.resources", {BALANCER}, set(), *_RESOURCES)
    yield _row("loadBalancer.pods", {BALANCER}, set(), *_PODS)


def _model_rows() -> Iterator[Row]:
    more: Fields = {"models": [model(), model("multilingual")]}
    changed = ((stack(), inputs()), (stack(**more), inputs()))
    yield Row("a model added or removed", frozenset(), frozenset({GATEWAY, BALANCER, STORE}), (changed,))
    yield _of_model("routeAliases", set(), {GATEWAY, BALANCER}, ["english"])
    yield _of_model("speechModels", set(), {GATEWAY}, ["universal-streaming-english"])
    family = _of_model("speechModels", {POOL}, {GATEWAY}, ["universal-streaming-all-multilingual"], ["universal-3-pro"])
    yield Row("speech models of other languages", family.rolls, family.reloads, family.changes)
    yield _of_model("source", {POOL}, {STORE}, "hf://example/en-default@v2")
    yield _of_model("files", {POOL}, {STORE}, [_OTHER_FILE], usual={"files": [_FILE]})
    yield _of_model("image", {POOL}, set(), "here/asr:2")
    card = _of_model("gpu", {POOL}, {GATEWAY}, {})
    yield Row("a GPU for a model, or none", card.rolls, card.reloads, card.changes)
    yield _of_model("gpu", {POOL}, set(), *_cards(), usual={"gpu": {}})
    yield _of_model("resources", {POOL}, set(), *_RESOURCES)
    yield _of_model("streams.targetPerPod", set(), set(), 10)
    yield _of_model("streams.maxPerPod", {POOL}, set(), 30)
    yield _of_model("autoscaling.minReplicas", set(), {GATEWAY}, 2, usual=_ONE_POD)
    yield _of_model("autoscaling.maxReplicas", set(), set(), 9, usual=_ONE_POD)
    yield _of_model("autoscaling.headroomStreams", set(), set(), 9, usual=_ONE_POD)
    yield _of_model("rollout", set(), {GATEWAY}, "Replace")
    yield _of_model("startupSeconds", {POOL}, {GATEWAY}, 600, usual=_ONE_POD)
    yield _of_model("pods", {POOL}, set(), *_PODS)


def _cards() -> tuple[Fields, ...]:
    return (
        {"resourceName": "nvidia.com/mig-1g.10gb"},
        {"count": 2},
        {"minMemoryGiB": 24},
        {"nodeSelector": {"card": "large"}},
        {"runtimeClassName": "nvidia"},
        {"tolerations": [_TOLERATION]},
    )


def _store_rows() -> Iterator[Row]:
    yield _row("modelStore.storage", set(), set(), {"size": "40Gi"}, {"storageClassName": "fast"})
    yield _row("modelStore.credentialsSecretName", {STORE}, set(), "hub")
    yield _of_facts(
        "credentials of model sources",
        {STORE},
        set(),
        inputs(versions={"Secret/hub": "1"}),
        inputs(versions={"Secret/hub": "2"}),
        modelStore={"credentialsSecretName": "hub"},
    )
    yield _row("modelStore.resources", {STORE}, set(), *_RESOURCES)
    yield _row("modelStore.pods", {STORE}, set(), *_PODS)


def _platform_rows() -> Iterator[Row]:
    yield _row("networkIsolation.enabled", set(), set(), False)
    yield _row("networkIsolation.egressCidrs", set(), set(), ["192.0.2.0/24"])
    yield _row("networkIsolation.proxyUrl", {PROXY, STORE}, set(), "http://p.example:3128")
    yield _row("networkIsolation.caBundleConfigMap", {PROXY, STORE}, set(), "roots")
    yield _row("networkIsolation.caBundleKey", {PROXY, STORE}, set(), "ca.pem", usual=_BUNDLE)
    yield _of_facts(
        "the bundle of certificates",
        {PROXY, STORE},
        set(),
        inputs(versions={"ConfigMap/roots": "1"}),
        inputs(versions={"ConfigMap/roots": "2"}),
        **_BUNDLE,
    )
    yield _row("networkIsolation.clientsFrom", set(), set(), _PEERS)
    yield _row("networkIsolation.metricsFrom", set(), set(), _PEERS)
    yield _row("autoscaling.provider", set(), set(), "None", "KEDA")
    yield _row("syncApi.enabled", set(), set(), True)
    yield _row("syncApi.replicas", set(), set(), 3, usual=_SYNC)
    yield _row("syncApi.resources", {SYNC}, set(), *_RESOURCES, usual=_SYNC)
    monitor = ({"enabled": False}, {"labels": {"release": "prometheus"}}, {"intervalSeconds": 15})
    yield _row("observability.podMonitor", set(), set(), *monitor)


def _image_rows() -> Iterator[Row]:
    yield _row("images.flavour", {GATEWAY, PROXY, POOL}, set(), "Vendor", usual=_VENDOR)
    yield _row("images.registry", set(EVERYTHING), set(), "harbor.example.com", usual=_SYNC)
    yield _row("images.pullSecrets", set(EVERYTHING), set(), ["one"], usual=_SYNC)
    yield _row("images.overrides.gateway", {GATEWAY}, set(), "here/gateway:2")
    yield _row("images.overrides.licenseProxy", {PROXY}, set(), "here/proxy:2")
    yield _row("images.overrides.loadBalancer", {BALANCER}, set(), "here/balancer:2")
    yield _row("images.overrides.asr", {POOL}, set(), "here/asr:2")
    card = {"models": [model(gpu={})]}
    yield _row("images.overrides.asrGpu", {POOL}, set(), "here/asr-nvidia:2", usual=card)
    yield _row("images.overrides.syncApi", {SYNC}, set(), "here/sync:2", usual=_SYNC)
    # Pools fetch their model with the store's program.
    yield _row("images.overrides.modelStore", {STORE, POOL}, set(), "here/store:2")


ROWS = (
    *_license_rows(),
    *_gateway_rows(),
    *_model_rows(),
    *_store_rows(),
    *_platform_rows(),
    *_image_rows(),
)

"""Any valid StreamingStack, for hypothesis."""

import re
import string
from typing import Any

from hypothesis import strategies as st
from stack_model.api import StreamingStack, read_stack
from stack_model.crd import structural_schema

_WORD = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=10)
_NAME = st.builds(lambda first, rest: f"{first}{rest}", st.sampled_from(string.ascii_lowercase), _WORD)
_QUANTITY = st.sampled_from(["1", "250m", "1.5", "2Gi", "1e3", "100M", "3", "1Ti", "500u"])
_RESOURCES = st.fixed_dictionaries(
    {},
    optional={
        "requests": st.dictionaries(st.sampled_from(["cpu", "memory", "example.com/thing"]), _QUANTITY),
        "limits": st.dictionaries(st.sampled_from(["cpu", "memory", "ephemeral-storage"]), _QUANTITY),
    },
)
_TOLERATION = st.one_of(
    st.just({"operator": "Exists"}),
    st.fixed_dictionaries({"key": _WORD, "value": _WORD}),
    st.fixed_dictionaries(
        {"key": _WORD, "operator": st.just("Exists"), "effect": st.just("NoExecute"), "tolerationSeconds": st.just(30)}
    ),
)


def _whatever_fits(*path: str) -> st.SearchStrategy[str]:
    """Any string that the definition lets through at this path of `spec`; `items` steps into a list."""
    schema = structural_schema()["properties"]["spec"]
    for step in path:
        schema = schema["items"] if step == "items" else schema["properties"][step]
    longest = schema["maxLength"]
    whole = re.compile(schema["pattern"], re.ASCII)
    return st.from_regex(whole, fullmatch=True).filter(lambda text: len(text) <= longest)


def _its_name(variable: Any) -> Any:
    return variable["name"]


_PODS = st.fixed_dictionaries(
    {},
    optional={
        "labels": st.dictionaries(st.builds("example.com/{}".format, _WORD), _WORD, max_size=3),
        "annotations": st.dictionaries(st.builds("example.com/{}".format, _WORD), st.text(max_size=20), max_size=3),
        "nodeSelector": st.dictionaries(_WORD, _WORD, max_size=2),
        "tolerations": st.lists(_TOLERATION, max_size=2),
        "affinity": st.just({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}),
        "priorityClassName": _NAME,
        "env": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["MAX_SESSIONS", "ROUTE", "TMPDIR"]), "value": _WORD}),
            unique_by=_its_name,
        ),
    },
)
_SOURCE = st.one_of(
    st.builds("hf://example/{}@main".format, _WORD),
    st.builds("pvc://{}/folder".format, _NAME),
    st.builds("pvc://{}".format, _NAME),
    st.builds("image://here:5000/{}:1.0/weights".format, _NAME),
    st.builds("image://{}@sha256:".format, _NAME).map(lambda reference: reference + "0" * 64),
    st.builds("s3://bucket/{}".format, _WORD),
)
_PART = _whatever_fits("models", "items", "files", "items", "parts", "items")
_FILES = st.lists(
    st.fixed_dictionaries(
        {
            "path": _WORD,
            "parts": st.lists(
                _whatever_fits("models", "items", "files", "items", "parts", "items"), min_size=1, max_size=3
            ),
            "sha256": st.text("0123456789abcdef", min_size=64, max_size=64),
        }
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda file: file["path"],
)


@st.composite
def _models(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(_NAME.filter(lambda name: name != "lb"), min_size=1, max_size=3, unique=True))
    found = []
    for name in names:
        family = draw(st.sampled_from(["universal-streaming-", "universal-3-", "u3-"]))
        model: dict[str, Any] = {"name": name, "speechModels": [f"{family}{name}"]}
        if draw(st.booleans()):
            model["source"] = draw(_SOURCE)
        else:
            model["files"] = draw(_FILES)
        if draw(st.booleans()):
            model["routeAliases"] = [f"{name}-also"]
        for field, values in _MODEL_FIELDS.items():
            if draw(st.booleans()):
                model[field] = draw(values)
        found.append(model)
    return found


_MODEL_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "gpu": st.fixed_dictionaries(
        {},
        optional={
            "count": st.integers(1, 16),
            "resourceName": st.sampled_from(["nvidia.com/gpu", "nvidia.com/mig-1g.10gb"]),
            "nodeSelector": st.dictionaries(_WORD, _WORD, max_size=2),
            "runtimeClassName": _NAME,
            "tolerations": st.lists(_TOLERATION, max_size=2),
        },
    ),
    "resources": _RESOURCES,
    "rollout": st.sampled_from(["Surge", "Replace"]),
    "startupSeconds": st.integers(10, 7200),
    "image": st.builds("here:5000/{}:2".format, _NAME),
    "pods": _PODS,
    "autoscaling": st.fixed_dictionaries({"minReplicas": st.integers(1, 3), "maxReplicas": st.integers(3, 9)}),
}


def _part(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={"resources": _RESOURCES, "pods": _PODS, **optional})


_EXPOSE: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {"type": st.just("Ingress")},
        optional={"ingressClassName": _NAME, "hostnames": st.just(["stt.example.com"])},
    ),
    st.fixed_dictionaries({"type": st.just("HTTPRoute"), "parentRefs": st.just([{"name": "gateway"}])}),
)
_SPEC = {
    "gateway": _part(
        maxSessionSeconds=st.integers(60, 10_800),
        auth=st.sampled_from([{}, {"mode": "AnyNonEmpty"}, {"secretName": "ours"}, {"singleUseTokens": True}]),
        expose=_EXPOSE,
    ),
    "loadBalancer": _part(replicas=st.integers(1, 3)),
    "licenseProxy": _part(
        replicas=st.integers(1, 3),
        checkInEndpoint=_whatever_fits("licenseProxy", "checkInEndpoint"),
        usage=st.fixed_dictionaries({"endpoint": _whatever_fits("licenseProxy", "usage", "endpoint")}),
    ),
    "modelStore": _part(
        storage=st.fixed_dictionaries({"size": _QUANTITY}, optional={"storageClassName": _NAME}),
        credentialsSecretName=_NAME,
    ),
    "networkIsolation": st.fixed_dictionaries(
        {"enabled": st.booleans()},
        optional={"proxyUrl": _whatever_fits("networkIsolation", "proxyUrl"), "caBundleConfigMap": _NAME},
    ),
    "autoscaling": st.fixed_dictionaries({"provider": st.sampled_from(["HPA", "KEDA", "None"])}),
    "images": st.fixed_dictionaries(
        {}, optional={"registry": st.just("harbor.example.com/speech"), "pullSecrets": st.just(["one"])}
    ),
}


@st.composite
def stacks(draw: st.DrawFn) -> StreamingStack:
    """A stack that the API would take."""
    spec: dict[str, Any] = {"models": draw(_models())}
    for field, values in _SPEC.items():
        if draw(st.booleans()):
            spec[field] = draw(values)
    return read_stack(
        {
            "apiVersion": "streamingstack.dev/v1alpha1",
            "kind": "StreamingStack",
            "metadata": {"name": draw(_NAME), "namespace": draw(st.sampled_from([None, "speech"]))},
            "spec": spec,
        }
    )

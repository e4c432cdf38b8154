"""Kubernetes' own schemas take every child, strictly, without a cluster."""

import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from operator_factories import built, inputs, model, pod_of, stack
from stack_model.api import StreamingStack, load_stack

KUBERNETES = "1.34"
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"
# Kinds of optional APIs, whose schemas are not Kubernetes' own.
_FOREIGN = {"HTTPRoute", "ScaledObject", "PodMonitor", "BackendConfig"}

RICH: dict[str, Any] = {
    "gateway": {"pods": {"tolerations": [{"operator": "Exists"}], "env": [{"name": "A", "value": "b"}]}},
    "licenseProxy": {"usage": {"endpoint": "https://tracker.example.com", "apiKeySecretName": "tracker"}},
    "modelStore": {"credentialsSecretName": "hub"},
    "networkIsolation": {"proxyUrl": "http://proxy.example.com:3128", "caBundleConfigMap": "roots"},
    "images": {"pullSecrets": ["one"]},
    "models": [
        model("gpu", gpu={"runtimeClassName": "nvidia"}),
        model("claimed", source="pvc://models/tiny"),
        model("mounted", source="image://here:5000/tiny:1/models"),
        model("copied", source="image://here:5000/tiny:1/models"),
    ],
}


def _refuse(children: dict[tuple[str, str], dict[str, Any]]) -> list[str]:
    problems = []
    for (kind, name), found in children.items():
        if kind not in _FOREIGN:
            try:
                kubernetes_validate.validate(found, KUBERNETES, strict=True)
            except kubernetes_validate.ValidationError as refused:
                problems.append(f"{kind}/{name}: {'.'.join(map(str, refused.path))}: {refused.message[:200]}")
    return problems


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_children_of_every_example_are_what_kubernetes_knows(example: Path) -> None:
    assert _refuse(built(load_stack(example))) == []


@pytest.mark.parametrize("image_volumes", [False, True])
def test_the_children_of_a_stack_with_everything_are_what_kubernetes_knows(image_volumes: bool) -> None:
    assert _refuse(built(stack(**RICH), inputs(image_volumes=image_volumes))) == []


def test_an_unknown_field_would_be_noticed() -> None:
    children = built(stack())
    pod_of(children["Deployment", "demo-gateway"])["imagePulPolicy"] = "Never"
    assert _refuse(children) != []


_GOLDEN: dict[str, tuple[StreamingStack, tuple[str, str]]] = {
    "gateway": (stack(), ("Deployment", "demo-gateway")),
    "license-proxy": (stack(), ("StatefulSet", "demo-license-proxy")),
    "pool-on-gpus": (
        stack(models=[model("u3-pro", speechModels=["u3-pro"], gpu={"count": 1})]),
        ("Deployment", "demo-asr-u3-pro"),
    ),
}


@pytest.mark.parametrize("name", _GOLDEN)
def test_a_workload_looks_as_it_was_last_agreed(name: str) -> None:
    """UPDATE_GOLDEN=1 writes the files anew; read the difference before it is committed."""
    given, key = _GOLDEN[name]
    text = yaml.safe_dump(built(given)[key], sort_keys=False)
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()

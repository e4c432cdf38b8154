"""A real API server takes every child, by server-side apply, and once more without a change."""

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster import tools
from e2e_cluster.api_server import ApiServer
from operator_factories import built, inputs, model, stack
from stack_model.api import StreamingStack, load_stack
from streaming_operator.facts import Inputs

pytest_plugins = ["e2e_cluster.testing"]
pytestmark = pytest.mark.cluster

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
NVIDIA = {"runtimeClassName": "nvidia", "nodeSelector": {"gpu": "l4"}}
RICH = stack(
    models=[
        model("gpu", gpu=NVIDIA, autoscaling={"minReplicas": 2, "maxReplicas": 4}),
        model("claimed", source="pvc://models/tiny"),
    ],
    gateway={"expose": {"type": "Ingress", "hostnames": ["a.example.com"], "tls": {"secretName": "cert"}}},
    licenseProxy={"checkInEndpoint": "https://license.example.com:8443"},
    networkIsolation={
        "egressCidrs": ["192.0.2.0/24", "2001:db8::/32"],
        "metricsFrom": [{"namespaceLabels": {"kubernetes.io/metadata.name": "monitoring"}}],
        "clientsFrom": [{"podLabels": {"app": "envoy"}}],
    },
    images={"pullSecrets": ["registry"]},
)
STACKS = {"usual": stack(), "rich": RICH, **{path.stem: load_stack(path) for path in EXAMPLES}}


@pytest.fixture(scope="module")
def namespace(api_server: ApiServer) -> Iterator[str]:
    """A namespace of the Pod Security level `restricted`."""
    name = f"edges-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/warn": "restricted", "pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    kubectl(api_server, "apply", "-f", "-", given={"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield name
    kubectl(api_server, "delete", "namespace", name, "--wait=false")


def kubectl(api: ApiServer, *arguments: str, given: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(tools.kubectl()), f"--kubeconfig={api.kubeconfig}", *arguments]
    done = subprocess.run(
        command, input=json.dumps(given) if given else None, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def applied(api: ApiServer, namespace: str, given: StreamingStack, facts: Inputs) -> subprocess.CompletedProcess[str]:
    children = [child for child in built(given, facts).values() if child["apiVersion"].count(".") == 0 or _own(child)]
    return kubectl(
        api,
        "apply", "--server-side", "--field-manager=streaming-operator", f"--namespace={namespace}", "--validate=strict",
        "-o", "json", "-f", "-",
        given={"apiVersion": "v1", "kind": "List", "items": children},
    )  # fmt: skip


def _own(child: dict[str, Any]) -> bool:
    """Of Kubernetes itself, not of an API that a cluster may lack."""
    group: str = child["apiVersion"].partition("/")[0]
    return group.endswith(".k8s.io") and not group.startswith("gateway.")


@pytest.mark.parametrize("name", STACKS)
def test_every_child_is_taken_without_a_warning(api_server: ApiServer, namespace: str, name: str) -> None:
    facts = inputs()
    first = applied(api_server, namespace, STACKS[name], facts)
    vendor = STACKS[name].spec.images.flavour == "Vendor"
    warnings = [line for line in first.stderr.splitlines() if "Warning" in line]
    # What the vendor's images bear is not known, so their pods are made for a level below.
    assert not warnings or vendor
    # A claim gets its phase by its second write, whoever makes it.
    second = applied(api_server, namespace, STACKS[name], facts)
    third = applied(api_server, namespace, STACKS[name], facts)
    assert _versions(second) == _versions(third)


def _versions(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    found = json.loads(done.stdout)
    items = found["items"] if found["kind"] == "List" else [found]
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["resourceVersion"] for one in items}

"""Stacks and inputs for tests, short: what is not said is as usual."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from stack_model.api import StreamingStack, read_stack
from streaming_operator.children import Child, build_children
from streaming_operator.facts import Images, Inputs, LicenseFact

KEY_HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
IMAGES = Images(
    gateway="registry.example/streamingstack/gateway:1.0.0",
    license_proxy="registry.example/streamingstack/license-proxy:1.0.0",
    load_balancer="registry.example/streamingstack/load-balancer:1.0.0",
    asr="registry.example/streamingstack/asr:1.0.0",
    asr_gpu="registry.example/streamingstack/asr-nvidia:1.0.0",
    model_store="registry.example/streamingstack/model-store:1.0.0",
    sync_api="registry.example/streamingstack/sync-api:1.0.0",
)


def model(name: str = "en-default", **fields: Any) -> dict[str, Any]:
    """A model as it is written in YAML, by its fields' names there."""
    usual: dict[str, Any] = {"speechModels": [f"universal-streaming-{name}"]}
    if "files" not in fields:
        usual["source"] = f"hf://example/{name}@main"
    return {"name": name, **usual, **fields}


def stack(name: str = "demo", namespace: str | None = "speech", **spec: Any) -> StreamingStack:
    """A stack by the fields of its spec, as they are written in YAML; with one model unless told."""
    return read_stack(
        {
            "apiVersion": "streamingstack.dev/v1alpha1",
            "kind": "StreamingStack",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"models": [model()], **spec},
        }
    )


def inputs(**facts: Any) -> Inputs:
    """A cluster with nothing optional and a genuine licence."""
    return replace(Inputs(images=IMAGES, license=LicenseFact("Genuine"), first_key_hash=KEY_HASH), **facts)


def built(given: StreamingStack, facts: Inputs | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    """The stack's children as manifests, by kind and name."""
    return manifests(build_children(given, facts or inputs()))


def manifests(children: Iterable[Child]) -> dict[tuple[str, str], dict[str, Any]]:
    """Manifests by kind and name."""
    return {(child.kind, child.name): child.manifest() for child in children}


def pod_of(workload: dict[str, Any]) -> dict[str, Any]:
    """The spec of the pods that a workload makes."""
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def containers(pod: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every container of a pod by name, those that run before among them."""
    return {one["name"]: one for one in [*pod.get("initContainers", []), *pod["containers"]]}


def environment(container: dict[str, Any]) -> dict[str, str | None]:
    """Variables by name; None where the value comes from a Secret."""
    return {one["name"]: one.get("value") for one in container.get("env", [])}

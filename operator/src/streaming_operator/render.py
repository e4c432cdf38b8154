"""The objects of a stack as YAML, without a cluster: what the operator would apply, given a licence and every API."""

from pathlib import Path
from typing import Any

import yaml
from stack_model.api import StreamingStack, load_stack

from streaming_operator.children import build_children
from streaming_operator.facts import Images, Inputs, LicenseFact
from streaming_operator.kinds import OPTIONAL

_REGISTRY = "streamingstack"
PLACEHOLDER_IMAGES = Images(
    gateway=f"{_REGISTRY}/gateway",
    license_proxy=f"{_REGISTRY}/license-proxy",
    load_balancer=f"{_REGISTRY}/load-balancer",
    asr=f"{_REGISTRY}/asr",
    asr_gpu=f"{_REGISTRY}/asr-gpu",
    model_store=f"{_REGISTRY}/model-store",
)


def usual_inputs(images: Images = PLACEHOLDER_IMAGES) -> Inputs:
    """A cluster that lacks nothing."""
    return Inputs(images=images, license=LicenseFact("Genuine"), apis=frozenset(kind.id for kind in OPTIONAL))


def manifests(stack: StreamingStack, inputs: Inputs) -> list[dict[str, Any]]:
    """Every object with its namespace, and the size that it is created with."""
    found = []
    for child in build_children(stack, inputs):
        manifest = child.manifest()
        if stack.metadata.namespace:
            manifest["metadata"] = {**manifest["metadata"], "namespace": stack.metadata.namespace}
        if child.replicas is not None:
            manifest["spec"] = {"replicas": child.replicas, **manifest["spec"]}
        found.append(manifest)
    return found


def render(file: Path, inputs: Inputs | None = None) -> str:
    """YAML documents. Raises StackError."""
    stack = load_stack(file)
    return yaml.safe_dump_all(manifests(stack, inputs or usual_inputs()), sort_keys=False)

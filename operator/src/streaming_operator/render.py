"""The objects of a stack as YAML, without a cluster: what the operator would apply, given a licence and every API."""

import textwrap
from pathlib import Path
from typing import Any

import yaml
from stack_model.api import StreamingStack, load_stack
from stack_model.release import IMAGE_NAMES, VERSION, image_reference

from streaming_operator import names
from streaming_operator.children import build_children
from streaming_operator.facts import Images, Inputs, LicenseFact
from streaming_operator.kinds import OPTIONAL
from streaming_operator.manifests import FIRST_KEY
from streaming_operator.references import references

# Of no key that anybody knows: who applies what is rendered lets nobody in.
PLACEHOLDER_KEY_HASH = "0" * 64
# As docs/install.md installs the chart, and as the chart then names its metrics adapter.
_RELEASE, _NAMESPACE = "operator", "streamingstack-system"
_SCALER = f"{_RELEASE}-streaming-stack-metrics-adapter.{_NAMESPACE}.svc:9091"


def usual_inputs() -> Inputs:
    """A cluster that lacks nothing, and this release's operator on it."""
    return Inputs(
        images=Images(**{part: image_reference(part) for part in IMAGE_NAMES}),
        license=LicenseFact("Genuine"),
        apis=frozenset(kind.id for kind in OPTIONAL),
        first_key_hash=PLACEHOLDER_KEY_HASH,
        operator_namespace=_NAMESPACE,
        scaler_address=_SCALER,
    )


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


def documents(stack: StreamingStack) -> str:
    """YAML documents, with comments on what only a cluster can tell."""
    parts = [_comment(_assumed(stack))]
    for manifest in manifests(stack, usual_inputs()):
        told = _comment(_placeholder(stack)) if _is_made_key(stack, manifest) else ""
        parts.append(f"---\n{told}{yaml.safe_dump(manifest, sort_keys=False)}")
    return "".join(parts)


def render(file: Path) -> str:
    """YAML documents of the stack in a file. Raises StackError."""
    return documents(load_stack(file))


def _is_made_key(stack: StreamingStack, manifest: dict[str, Any]) -> bool:
    return (manifest["kind"], manifest["metadata"]["name"]) == ("Secret", names.api_keys(stack.metadata.name))


def _assumed(stack: StreamingStack) -> list[str]:
    name, namespace = stack.metadata.name, stack.metadata.namespace
    place = f"namespace {namespace}" if namespace else "namespace default, as metadata.namespace is not set"
    yours = dict.fromkeys(f"{one.kind} {one.name}" for one in references(stack))
    return [
        f"What the operator of release {VERSION} makes of the stack {name} in {place}, on a cluster that serves every "
        f"optional API, with the chart installed as {_RELEASE} in {_NAMESPACE} and no values set.",
        "Apply the stack, not this: what the operator makes belongs to the stack, and ends with it.",
        *_made_once(stack),
        f"Yours to make, as the stack names them: {', '.join(yours)}. Annotations {names.CONFIG_HASH} follow the "
        "content of those that pods read when they start, and are other ones on a cluster.",
    ]


def _made_once(stack: StreamingStack) -> list[str]:
    if stack.spec.images.flavour == "Vendor":
        return []
    name = names.token_secret(stack.metadata.name)
    return [f"Made once by the operator and not shown: the Secret {name}, what gateways sign temporary tokens with."]


def _placeholder(stack: StreamingStack) -> list[str]:
    return [
        "A placeholder: base64 of zeros where the hash of a key stands. The operator makes a random key once and puts "
        f"it, as `{FIRST_KEY}`, into the Secret {names.first_key(stack.metadata.name)}, which no pod mounts and which "
        "is not shown here; only the key's sha256 comes into this Secret.",
        "For keys of your own name a Secret in spec.gateway.auth.secretName.",
    ]


def _comment(paragraphs: list[str]) -> str:
    lines = [line for text in paragraphs for line in textwrap.wrap(text, 110, break_on_hyphens=False)]
    return "".join(f"# {line}\n" for line in lines)

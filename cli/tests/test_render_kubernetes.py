"""`streamingstack render` for Kubernetes, over every example: what a pod needs is there, and all of this release."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from rendered_chart import CHART, environment, helm
from service_kit.settings import load_settings
from stack_model.api import StreamingStack, load_stack
from streaming_operator.__main__ import main as operator
from streaming_operator.settings import OperatorSettings
from streamingstack_cli.main import app
from typer.testing import CliRunner

from .conftest import EXAMPLES

FILES = sorted(EXAMPLES.glob("*.yaml"))
EVERY_EXAMPLE = pytest.mark.parametrize("example", FILES, ids=lambda path: path.stem)
# Where a pod names a Secret or a ConfigMap: the key whose value is an object, and what that names.
_NAMED_BELOW = {
    "secretKeyRef": ("Secret", "name"),
    "secretRef": ("Secret", "name"),
    "secret": ("Secret", "secretName"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "configMap": ("ConfigMap", "name"),
}


class Use(NamedTuple):
    """A Secret or a ConfigMap that a pod names; `keys` must be in its data."""

    kind: str
    name: str
    keys: frozenset[str] = frozenset()


def printed(file: Path) -> str:
    result = CliRunner().invoke(app, ["render", "-f", str(file)])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def objects(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(printed(file)))


def of_kind(found: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def pods(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["spec"]["template"]["spec"] for one in found if one["kind"] in ("Deployment", "StatefulSet")]


def pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    if isinstance(node, dict):
        for key, below in node.items():
            yield key, below
            yield from pairs(below)
    elif isinstance(node, list):
        for below in node:
            yield from pairs(below)


def uses(pod: dict[str, Any]) -> Iterator[Use]:
    for key, below in pairs(pod):
        if key == "imagePullSecrets":
            yield from (Use("Secret", one["name"]) for one in below)
        elif key in _NAMED_BELOW:
            kind, field = _NAMED_BELOW[key]
            items = {item["key"] for item in below.get("items", [])}
            # A projected volume's source has a `name` where a volume of its own has `secretName`.
            yield Use(kind, below.get(field) or below["name"], frozenset({*items, below.get("key")} - {None}))


def brought(stack: StreamingStack) -> set[tuple[str, str]]:
    """What the stack itself names, by the names of its fields."""
    named = set()
    for field, value in pairs(stack.model_dump()):
        if field.endswith("secret_name") and value:
            named.add(("Secret", value))
        elif field == "pull_secrets":
            named |= {("Secret", one) for one in value}
        elif field.endswith("config_map") and value:
            named.add(("ConfigMap", value))
    return named


@EVERY_EXAMPLE
def test_what_a_pod_mounts_or_reads_is_rendered_or_named_by_the_stack(example: Path) -> None:
    found = objects(example)
    data = {(one["kind"], one["metadata"]["name"]): set(one["data"]) for one in found if "data" in one}
    stack = load_stack(example)
    named = brought(stack)
    if stack.spec.images.flavour != "Vendor":
        made = f"{stack.metadata.name}-token-secret"
        assert made in printed(example).partition("---")[0], "a comment names what is made once"
        named.add(("Secret", made))
    used = [use for pod in pods(found) for use in uses(pod)]
    assert {(use.kind, use.name) for use in used} & set(data)
    for kind, name, keys in used:
        assert (kind, name) in named or keys <= data[kind, name], (kind, name)
    assert not named & set(data)


@EVERY_EXAMPLE
def test_every_object_comes_once_and_claims_are_rendered_or_named(example: Path) -> None:
    found = objects(example)
    keys = [(one["apiVersion"], one["kind"], one["metadata"]["name"]) for one in found]
    assert len(keys) == len(set(keys))
    claims = {value["claimName"] for key, value in pairs(pods(found)) if key == "persistentVolumeClaim"}
    assert all(
        name in of_kind(found, "PersistentVolumeClaim") or f"pvc://{name}/" in example.read_text() for name in claims
    )


@pytest.fixture(scope="module")
def installed() -> OperatorSettings:
    """The operator's environment as docs/install.md installs the chart, but for the registry."""
    text = helm("template", "operator", str(CHART), "--namespace=streamingstack-system")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment([one for one in yaml.safe_load_all(text) if one]).items():
            patch.setenv(name, value)
        return load_settings(OperatorSettings)


@EVERY_EXAMPLE
def test_images_are_those_of_the_operator_that_the_chart_installs(example: Path, installed: OperatorSettings) -> None:
    found, stack, text = objects(example), load_stack(example), example.read_text()
    registry, ours = stack.spec.images.registry, vars(installed.images())
    if registry:
        ours = {part: f"{registry}/{image.rpartition('/')[2]}" for part, image in ours.items()}
    for pod in pods(found):
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            # What is not ours the stack names itself: the vendor's, or an image with a model.
            assert container["image"] in ours.values() or container["image"] in text
    for model in stack.spec.models:
        pool = of_kind(found, "Deployment")[f"{stack.metadata.name}-asr-{model.name}"]
        expected = model.image or ours["asr_gpu" if model.gpu else "asr"]
        assert {one["image"] for one in pool["spec"]["template"]["spec"]["containers"]} == {expected}


@EVERY_EXAMPLE
def test_keda_is_asked_to_size_the_gateway_and_every_pool(
    example: Path, tmp_path: Path, installed: OperatorSettings
) -> None:
    document = yaml.safe_load(example.read_text())
    document["spec"].setdefault("autoscaling", {})["provider"] = "KEDA"
    file = tmp_path / "stack.yaml"
    file.write_text(yaml.safe_dump(document))
    found, stack = objects(file), load_stack(file)
    name = stack.metadata.name
    sized = {f"{name}-gateway", *(f"{name}-asr-{model.name}" for model in stack.spec.models)}
    scaled = of_kind(found, "ScaledObject")
    # The vendor's images tell no load.
    assert set(scaled) == (set() if stack.spec.images.flavour == "Vendor" else sized)
    assert not of_kind(found, "HorizontalPodAutoscaler")
    for one in scaled.values():
        assert {trigger["metadata"]["scalerAddress"] for trigger in one["spec"]["triggers"]} == {
            installed.scaler_address
        }
    assert not of_kind(objects(example), "ScaledObject")


def test_the_first_keys_hash_is_a_placeholder_that_says_so() -> None:
    text = printed(EXAMPLES / "minimal.yaml")
    secret = of_kind(list(yaml.safe_load_all(text)), "Secret")["minimal-api-keys"]
    assert base64.b64decode(secret["data"]["keys"]) == b"0" * 64 + b" first\n"
    [document] = [one for one in text.split("\n---\n") if "\nkind: Secret\n" in one]
    assert document.startswith("# A placeholder")
    comment = document.partition("apiVersion")[0].replace("\n# ", " ")
    assert "the Secret minimal-first-key" in comment
    assert "spec.gateway.auth.secretName" in comment


def test_a_stack_with_keys_of_its_own_has_no_placeholder() -> None:
    text = printed(EXAMPLES / "gpu-production.yaml")
    assert "placeholder" not in text
    assert "Secret speech-api-keys" in text.partition("---")[0].replace("\n# ", " ")


def test_the_operators_own_command_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    example = EXAMPLES / "minimal.yaml"
    assert operator(["render", "-f", str(example)]) == 0
    assert capsys.readouterr().out == printed(example)

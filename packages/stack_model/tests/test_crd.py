"""The custom resource definition: current, whole, small, and the same as the types. The API server's own tests of it
are in `test_crd_rules.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_model.api import ConditionType, StreamingStack, load_stack, read_stack
from stack_model.crd import definition, definition_yaml, structural_schema
from stack_model.reference import reference_page

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
Node = dict[str, Any]


def nodes(schema: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every node below the root, with its path as in messages."""
    yield path, schema
    for name, item in schema.get("properties", {}).items():
        yield from nodes(item, f"{path}.{name}".strip("."))
    for inner, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if inner in schema:
            yield from nodes(schema[inner], path + mark)


NODES = dict(nodes(structural_schema()))
SPEC = {path: node for path, node in NODES.items() if path.startswith("spec")}


def defaulted(schema: Node, value: Any) -> Any:
    """`value` with the schema's defaults, filled in from the outside in as the API server does."""
    if isinstance(value, dict):
        filled = (
            {name: defaulted(schema["additionalProperties"], item) for name, item in value.items()}
            if ("additionalProperties" in schema)
            else dict(value)
        )
        for name, item in schema.get("properties", {}).items():
            if name not in filled and "default" in item:
                filled[name] = item["default"]
            if name in filled:
                filled[name] = defaulted(item, filled[name])
        return filled
    if isinstance(value, list):
        return [defaulted(schema["items"], item) for item in value]
    return value


def said(value: Any) -> Any:
    """`value` without what says nothing: empty lists and mappings, further out too once they are empty."""
    if isinstance(value, dict):
        kept = {name: said(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in (None, {}, [])}
    return [said(item) for item in value] if isinstance(value, list) else value


def test_the_file_is_made_from_the_types() -> None:
    assert (ROOT / "crds/streamingstacks.yaml").read_text() == definition_yaml(), "run `make generate`"


def test_the_reference_page_is_made_from_the_types() -> None:
    assert (ROOT / "docs/reference/api.md").read_text() == reference_page(), "run `make generate`"


def test_the_reference_page_has_every_field_and_every_rule() -> None:
    page = reference_page()
    leaves = [path.rpartition(".")[2].removesuffix("[]") for path in NODES if path.startswith(("spec.", "status."))]
    assert [name for name in leaves if not name.endswith("{}") and f"| `{name}` |" not in page] == []
    rules = [rule["message"] for node in SPEC.values() for rule in node.get("x-kubernetes-validations", [])]
    assert [rule for rule in rules if rule not in page] == []


def test_it_stays_below_100_kilobytes() -> None:
    assert len(definition_yaml().encode()) <= 100_000


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_definition_and_the_types_give_the_same_defaults(example: Path) -> None:
    document = yaml.safe_load(example.read_text())
    spec = defaulted(structural_schema()["properties"]["spec"], document["spec"])
    assert said(spec) == said(load_stack(example).spec.model_dump(by_alias=True))


def test_what_the_api_server_filled_in_is_accepted_again() -> None:
    document = yaml.safe_load(EXAMPLES[0].read_text())
    filled = {**document, "spec": defaulted(structural_schema()["properties"]["spec"], document["spec"])}
    assert read_stack(filled) == read_stack(document)


def test_every_field_says_what_it_is_for() -> None:
    silent = [
        path
        for path, node in NODES.items()
        if path not in ("metadata", "") and not path.endswith(("[]", "{}")) and len(node.get("description", "")) < 8
    ]
    assert silent == []


def test_everything_in_spec_is_bounded_so_that_rules_cost_little() -> None:
    bounds = {"array": "maxItems", "string": "maxLength", "integer": "maximum"}
    unbounded = [
        path
        for path, node in SPEC.items()
        if "enum" not in node and node.get("type") in bounds and bounds[node["type"]] not in node
    ]
    unbounded += [path for path, node in SPEC.items() if "additionalProperties" in node and "maxProperties" not in node]
    assert unbounded == []


def test_only_affinity_is_passed_on_unread() -> None:
    unread = [path for path, node in NODES.items() if "x-kubernetes-preserve-unknown-fields" in node]
    assert unread
    assert all(".affinity." in path for path in unread)


def test_lists_of_named_things_are_merged_by_name() -> None:
    keys = {
        path: node["x-kubernetes-list-map-keys"] for path, node in NODES.items() if "x-kubernetes-list-map-keys" in node
    }
    assert keys["spec.models"] == ["name"]
    assert keys["spec.models[].files"] == ["path"]
    assert keys["spec.gateway.pods.env"] == ["name"]
    assert keys["status.conditions"] == ["type"]
    assert keys["status.models"] == ["name"]


def test_every_rule_names_its_field() -> None:
    fields = {*NODES, "metadata.name"}
    for node in NODES.values():
        for rule in node.get("x-kubernetes-validations", []):
            named = rule["message"].split()[0].rstrip(":")
            assert any(field == named or field.endswith(f".{named}") for field in fields), rule["message"]


def test_the_columns_show_what_an_operator_of_the_service_looks_for_first() -> None:
    (version,) = definition()["spec"]["versions"]
    columns = [column["name"] for column in version["additionalPrinterColumns"] if "priority" not in column]
    assert columns == [
        "Ready",
        "Reason",
        "Sessions",
        "Capacity",
        "Draining",
        "Draining Sessions",
        "Licence",
        "URL",
        "Age",
    ]
    assert definition()["spec"]["names"]["shortNames"] == ["sst"]
    assert version["subresources"] == {"status": {}}


def test_columns_read_fields_that_are_there() -> None:
    (version,) = definition()["spec"]["versions"]
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].removeprefix(".")
        for type_ in ConditionType:
            path = path.replace(f'conditions[?(@.type=="{type_}")]', "conditions[]")
        assert path in NODES or path == "metadata.creationTimestamp", path


def test_the_group_and_kind_are_those_of_the_types() -> None:
    fields = StreamingStack.model_fields
    assert "streamingstack.dev/v1alpha1" in str(fields["api_version"].annotation)
    assert definition()["spec"]["names"]["kind"] in str(fields["kind"].annotation)

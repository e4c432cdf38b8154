"""Every rule broken, against the types and against a real API server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from e2e_cluster import tools
from e2e_cluster.api_server import ApiServer
from stack_model.api import Rule, SpecModel, StackError, load_stack, read_stack
from stack_model.crd import NAME, PLURAL, definition, structural_schema

from .conftest import Judge
from .crd_cases import BROKEN, EXAMPLES, OUT_OF_BOUNDS, ROOT, UNSERVED, WHOLE, Document, changed

pytest_plugins = ["e2e_cluster.testing"]


def explained(field: str) -> str:
    """What `kubectl explain` says of a field of `spec`."""
    node = structural_schema()["properties"]["spec"]
    for name in field.split("."):
        node = node.get("items", node)["properties"][name]
    return str(node["description"])


def all_rules() -> Iterator[Rule]:
    """Every rule of every type."""
    types: list[type[SpecModel]] = [SpecModel]
    while types:
        found = types.pop()
        types += found.__subclasses__()
        yield from found.rules if found is not SpecModel else ()


def rule_of(beginning: str) -> Rule:
    (rule,) = {rule.message: rule for rule in all_rules() if rule.message.startswith(beginning)}.values()
    return rule


def test_every_rule_is_broken_by_a_test() -> None:
    assert {rule_of(beginning).message for beginning in BROKEN} == {rule.message for rule in all_rules()}


def test_the_whole_object_breaks_no_rule() -> None:
    assert read_stack(WHOLE).spec.models[1].files[0].path == "model.bin"


@pytest.mark.parametrize("beginning", BROKEN)
def test_a_broken_rule_is_refused_by_the_types(beginning: str) -> None:
    with pytest.raises(StackError) as refused:
        read_stack(changed(BROKEN[beginning]))
    assert rule_of(beginning).message in str(refused.value)


@pytest.mark.parametrize("field", OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_the_types(field: str) -> None:
    changes, says = OUT_OF_BOUNDS[field]
    with pytest.raises(StackError, match=says):
        read_stack(changed(changes))


@pytest.mark.parametrize("field", UNSERVED)
def test_a_field_that_is_not_served_yet_says_so_and_its_refusal_names_it_and_the_remedy(field: str) -> None:
    change, remedy = UNSERVED[field]
    assert "not served yet" in explained(field).lower()
    with pytest.raises(StackError) as refused:
        read_stack(changed(change))
    assert field.rpartition(".")[2] in str(refused.value)
    assert remedy in str(refused.value)


def test_no_other_field_claims_that_it_is_not_served_and_no_rule_refuses_one_without_a_word() -> None:
    inside = {field for field in UNSERVED if "." in field}
    around = {"tls", "tls.internal", "observability.tracing"}
    assert set(unserved(structural_schema()["properties"]["spec"])) == inside | around
    refusing = {rule.message.partition(":")[0] for rule in all_rules() if "not served yet" in rule.message}
    assert refusing == inside - {"models.engine"}


def unserved(schema: Document, path: str = "") -> Iterator[str]:
    """The fields below, as `kubectl explain` names them, whose descriptions say that they are not served yet."""
    for name, node in schema.get("items", schema).get("properties", {}).items():
        if "not served yet" in node.get("description", "").lower():
            yield f"{path}{name}"
        yield from unserved(node, f"{path}{name}.")


@pytest.mark.cluster
def test_the_api_server_takes_the_definition_as_it_is_in_the_repository(judge: Judge) -> None:
    stored = judge.client.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}").json()
    conditions = {condition["type"]: condition["status"] for condition in stored["status"]["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions.get("NonStructuralSchema", "False") == "False"
    ours = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    theirs = stored["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert theirs["properties"].keys() == ours["properties"].keys()


@pytest.mark.cluster
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_api_server_accepts_every_example(judge: Judge, example: Path) -> None:
    assert judge.refusal(yaml.safe_load(example.read_text())) is None


@pytest.mark.cluster
@pytest.mark.parametrize("beginning", BROKEN)
def test_a_broken_rule_is_refused_by_the_api_server(judge: Judge, beginning: str) -> None:
    assert rule_of(beginning).message in (judge.refusal(changed(BROKEN[beginning])) or "")


@pytest.mark.cluster
@pytest.mark.parametrize("field", UNSERVED)
def test_the_api_server_refuses_what_is_not_served_yet_with_field_and_remedy(judge: Judge, field: str) -> None:
    change, remedy = UNSERVED[field]
    refusal = judge.refusal(changed(change)) or ""
    assert field.rpartition(".")[2] in refusal
    assert remedy in refusal


@pytest.mark.cluster
@pytest.mark.parametrize("field", OUT_OF_BOUNDS)
def test_a_value_out_of_bounds_is_refused_by_the_api_server(judge: Judge, field: str) -> None:
    assert field in (judge.refusal(changed(OUT_OF_BOUNDS[field][0])) or "")


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("spec.models.source", "Folder with the whole model"),
        ("spec.gateway.sessions.maxPerPod", "Beyond this, new sessions are refused."),
        ("spec.networkIsolation.egressCidrs", "every address on port 443"),
        ("status.conditions.reason", "Why, in one word"),
    ],
)
def test_kubectl_explains_each_field(judge: Judge, api_server: ApiServer, field: str, says: str) -> None:
    told = subprocess.run(
        [tools.kubectl(), f"--kubeconfig={api_server.kubeconfig}", "explain", f"{PLURAL}.{field}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert says in " ".join(told.stdout.split())


@pytest.mark.cluster
def test_the_shortest_stack_is_filled_in_by_the_api_server_as_by_the_types(judge: Judge) -> None:
    path = ROOT / "examples/minimal.yaml"
    answer = judge.client.post(
        f"/apis/streamingstack.dev/v1alpha1/namespaces/default/{PLURAL}",
        params={"dryRun": "All"},
        json=yaml.safe_load(path.read_text()),
    )
    assert read_stack(answer.json()).spec == load_stack(path).spec

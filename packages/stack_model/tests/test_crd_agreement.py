"""The types and a real API server are of one mind about anything."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stack_model.api import StackError, read_stack
from stack_model.crd import structural_schema

from .conftest import Judge
from .crd_cases import SHA, WHOLE, Document, at

pytest_plugins = ["e2e_cluster.testing"]

TEXTS = [
    "", "a", "u3-pro", "en-default", "universal-streaming-english", "1a", "A", "a b", "a\n", "é", "a.b", "-a",
    "a" * 41, "a" * 64, "a" * 254, "500m", "2", "1Gi", "1.5Ki", "-1", "1e3", "0.5", "192.0.2.0/24",
    "192.0.2.0/33", "2001:db8::/32", "192.0.2.0", "::/0", "192.0.2.0/024", "1.2.3/8",
    "https://a.example.com/x", "http://x:80", "https://u:p@x/y", "ftp://x/y", "hf://o/m@r", "hf://o/m",
    "s3://bucket/key", "s3://B/k", "pvc://claim", "pvc://claim/a/b", "image://r/x:1/p", "image://x",
    "pypi://d==1/p", "pypi://d", "file:///m", "file://m", "registry.example.com/x:1", "x@sha256:" + SHA, SHA,
    "*.example.com", "a.*", "HTTPRoute", "Ingress", "None", "Keys", "AnyNonEmpty", "Exists", "Equal",
    "NoExecute", "Vendor", "KEDA", "Whisper", "a/b", "a/../b", ".a", "a/", "vocabulary.txt",
    "NVIDIA_VISIBLE_DEVICES", "A_B",
    "https://h:65535/x", "https://h:65536/x", "https://h:0/x", "https://h:080/x", "https://h:/x", "https://h:abc/x",
    "https://[/x", "https://[::1]:8443/x", "https://[1:2:3:4:5:6:7:8]/x", "https://[::1::2]/x", "https://[12345::]/x",
    "https://h?x/y", "https://h#x/y", "https://a..b/x", "https://-a/x", "https://a_b.c./x", "https://\u2100/x",
]  # fmt: skip


def paths(schema: Document, value: Any, path: str = "spec") -> Iterator[tuple[str, Document]]:
    """Every field of `value`, and every field that it could have, with its schema."""
    yield path, schema
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            yield from paths(inner, value.get(name), f"{path}.{name}")
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(schema["items"], item, f"{path}.{index}")


FIELDS = list(paths(structural_schema()["properties"]["spec"], WHOLE["spec"]))


def values(schema: Document) -> st.SearchStrategy[Any]:
    """What a field may be given: mostly of its type, within its bounds or just beyond them."""
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], "None", "", 1])
    match schema.get("type"):
        case "integer":
            least, most = schema["minimum"], schema["maximum"]
            return st.sampled_from([least, most, least - 1, most + 1, (least + most) // 2, 2, 30, "2", True])
        case "boolean":
            return st.sampled_from([True, False, "true", 0])
        case "array":
            return st.lists(values(schema["items"]), max_size=3)
        case "object" if "properties" in schema:
            optional = {name: values(inner) for name, inner in schema["properties"].items()}
            needed = {name: optional.pop(name) for name in schema.get("required", [])}
            return st.fixed_dictionaries(needed, optional=optional) | st.sampled_from([{}, [], "x"])
        case "object" if "additionalProperties" in schema:
            keys = st.sampled_from(
                ["team", "example.com/team", "app.kubernetes.io/name", "cpu", "streamingstack.dev/x"]
            )
            return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=3)
        case "object":
            return st.sampled_from([{}, {"any": [1]}, [], "x"])
        case _:
            return st.sampled_from([*TEXTS, 1, 0, True])


@st.composite
def documents(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Document:
    """The whole object with one or two fields given something else, a null, or nothing."""
    changes: Document = {}
    for path, schema in draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=2)):
        if path != "spec":
            changes[path] = draw(st.one_of(values(schema), st.none(), st.just(...)))
    return with_changes(changes)


def with_changes(changes: Document) -> Document:
    """Those that fit upon each other; a list loses no item while another change still counts on it."""
    document = copy.deepcopy(WHOLE)
    for path, value in sorted(changes.items(), reverse=True):
        try:
            node, key = at(document, path)
        except (KeyError, IndexError, AttributeError, TypeError):
            continue
        if isinstance(node, list):
            node[key : key + 1] = [] if value is ... or value is None else [value]
        elif isinstance(node, dict):
            node.pop(key, None) if value is ... else node.update({key: value})
    return document


@pytest.mark.cluster
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_the_types_and_the_api_server_are_of_one_mind(judge: Judge, document: Document) -> None:
    theirs = judge.refusal(document)
    try:
        read_stack(document)
        ours = None
    except StackError as refused:
        ours = str(refused)
    assert (ours is None) == (theirs is None), f"types: {ours}\nAPI server: {theirs}"

"""The custom resource definition, made from the types of `stack_model.api`: `python -m stack_model.crd FILE`."""

from collections.abc import Mapping
from typing import Any

import yaml

from stack_model.api import API_VERSION, GROUP, KIND, VERSION, StreamingStack

PLURAL = "streamingstacks"
NAME = f"{PLURAL}.{GROUP}"
Schema = dict[str, Any]

_HEADER = "# Made from packages/stack_model/src/stack_model/api by `make generate`; change the types, not this file.\n"
_READY = '.status.conditions[?(@.type=="Ready")]'
_COLUMNS = (
    ("Ready", "string", f"{_READY}.status", "Whether everything that clients need is there."),
    ("Reason", "string", f"{_READY}.reason", "Why it is or is not ready."),
    ("Sessions", "integer", ".status.gateway.sessions", "Open sessions."),
    ("Capacity", "integer", ".status.gateway.capacity", "Sessions that fit."),
    ("Draining", "integer", ".status.gateway.draining", "Gateway pods that end when their sessions have."),
    ("Draining Sessions", "integer", ".status.gateway.drainingSessions", "Open sessions on pods that drain."),
    ("Licence", "string", ".status.license.state", "The licence as the licence proxies see it."),
    ("URL", "string", ".status.endpoint", "Where clients connect."),
    ("Age", "date", ".metadata.creationTimestamp", "Since when it is there."),
)
_WIDE = (("Message", "string", f"{_READY}.message", "What to do."),)


class _InFull(yaml.SafeDumper):
    """Writes what stands in several places in each of them: not every reader knows YAML's anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


def definition() -> Schema:
    """The CustomResourceDefinition as an object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME},
        "spec": {
            "group": GROUP,
            "names": {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower()}
            | {"shortNames": ["sst"]},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        *(_column(*column) for column in _COLUMNS),
                        *({**_column(*column), "priority": 1} for column in _WIDE),
                    ],
                    "schema": {"openAPIV3Schema": structural_schema()},
                }
            ],
        },
    }


def definition_yaml() -> str:
    """The definition as `crds/streamingstacks.yaml` holds it."""
    return _HEADER + yaml.dump(definition(), Dumper=_InFull, sort_keys=False, width=120, allow_unicode=True)


def structural_schema() -> Schema:
    """The OpenAPI v3 schema of a StreamingStack: every reference in place, as the API server asks for it."""
    source = StreamingStack.model_json_schema(by_alias=True)
    schema = _structural(source, source["$defs"])
    properties = schema["properties"]
    status = properties["status"]
    properties |= {
        "apiVersion": {"type": "string", "description": f"Always {API_VERSION}."},
        "kind": {"type": "string", "description": f"Always {KIND}."},
        # The API server allows nothing more about it here.
        "metadata": {"type": "object"},
        "status": _without_defaults(status),
    }
    schema["required"] = ["spec"]
    return schema


def _column(name: str, type_: str, path: str, description: str) -> Schema:
    return {"name": name, "type": type_, "jsonPath": path, "description": description}


_KEPT = (
    "description",
    "type",
    "format",
    "enum",
    "default",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
)


def _structural(source: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """One node without references and nulls, with exactly the words that a structural schema knows."""
    node = _resolved(source, definitions)
    schema: Schema = {word: node[word] for word in _KEPT if word in node and not _is_null_default(word, node[word])}
    if "const" in node:
        schema["enum"] = [node["const"]]
    if schema.get("type") == "integer":
        schema["format"] = "int64"
    if node.get("x-kubernetes-int-or-string"):
        schema["anyOf"] = node["anyOf"]
    if "properties" in node:
        schema["properties"] = {name: _structural(item, definitions) for name, item in node["properties"].items()}
    elif isinstance(node.get("additionalProperties"), Mapping):
        schema["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if "items" in node:
        schema["items"] = _structural(node["items"], definitions)
    return schema | {word: value for word, value in node.items() if word.startswith("x-kubernetes-")}


def _resolved(node: Mapping[str, Any], definitions: Mapping[str, Schema]) -> Schema:
    """The node with what it refers to; what stands beside a reference wins."""
    if "$ref" in node:
        referred = definitions[node["$ref"].rpartition("/")[2]]
        return {**_resolved(referred, definitions), **{word: node[word] for word in node if word != "$ref"}}
    if "anyOf" in node and not node.get("x-kubernetes-int-or-string"):
        (choice,) = (choice for choice in node["anyOf"] if choice.get("type") != "null")
        return {**_resolved(choice, definitions), **{word: node[word] for word in node if word != "anyOf"}}
    return dict(node)


def _is_null_default(word: str, value: Any) -> bool:
    return word == "default" and value is None


def _without_defaults(schema: Schema) -> Schema:
    """Of the status: it is written whole by the operator, or not at all."""
    bare = {word: value for word, value in schema.items() if word != "default"}
    if "properties" in bare:
        bare["properties"] = {name: _without_defaults(item) for name, item in bare["properties"].items()}
    if "items" in bare:
        bare["items"] = _without_defaults(bare["items"])
    return bare


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_text(definition_yaml())

"""The reference page of the API, made from the types of `stack_model.api`: `python -m stack_model.reference FILE`."""

from collections.abc import Iterator, Mapping
from typing import Any

from stack_model.api import API_VERSION, KIND, StreamingStack

Schema = Mapping[str, Any]

_HEAD = f"""# API reference: {KIND}

<!-- Made from packages/stack_model/src/stack_model/api by `make generate`; change the types, not this page. -->

`apiVersion: {API_VERSION}`, `kind: {KIND}`, short name `sst`, namespaced. The same words as
`kubectl explain sst.spec`. Amounts such as `500m` and `16Gi` are written as everywhere in Kubernetes; units are in the
names of fields otherwise. An unknown field is refused. The reasons of conditions are explained in
[troubleshooting](../troubleshooting.md).
"""


def reference_page() -> str:
    """The page in Markdown."""
    source = StreamingStack.model_json_schema(by_alias=True)
    sections = [_section(name, source["$defs"]) for name in _in_order(source)]
    return "\n".join([_HEAD, *sections])


def _in_order(source: Schema) -> list[str]:
    """The names of the types below `spec` and `status`, each before what it is made of."""
    found: list[str] = []
    waiting = ["Spec", "StackStatus"]
    while waiting:
        name = waiting.pop(0)
        if name not in found and "properties" in source["$defs"][name]:
            found.append(name)
            inner = source["$defs"][name]["properties"].values()
            waiting = [reference for item in inner for reference in _references(item)] + waiting
    return found


def _references(node: Schema) -> Iterator[str]:
    if "$ref" in node:
        yield node["$ref"].rpartition("/")[2]
    for item in (*node.get("anyOf", ()), node.get("items"), node.get("additionalProperties")):
        if isinstance(item, Mapping):
            yield from _references(item)


def _section(name: str, types: Schema) -> str:
    type_ = types[name]
    required = type_.get("required", [])
    rows = [
        f"| `{field}` | {_type(item)} | {'required' if field in required else _default(item, types)} | "
        f"{_cell(item.get('description') or _referred(item, types).get('description', ''))} |"
        for field, item in type_["properties"].items()
    ]
    rules = [f"- {_cell(rule['message'])}" for rule in type_.get("x-kubernetes-validations", [])]
    parts = [
        f"## {name}\n\n{type_.get('description', '')}\n",
        "| field | type | default | meaning |\n|---|---|---|---|",
        *rows,
        *(["\nRules:\n", *rules] if rules else []),
    ]
    return "\n".join(parts) + "\n"


def _referred(node: Schema, types: Schema) -> Schema:
    """The type that a field refers to; empty where it holds a plain value or a list."""
    referred: Schema = types[node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
    return referred


def _type(node: Schema) -> str:
    if node.get("x-kubernetes-int-or-string"):
        return "amount"
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in node:
        return _type(next(choice for choice in node["anyOf"] if choice.get("type") != "null"))
    if "enum" in node or "const" in node:
        return " or ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    match node.get("type"):
        case "array":
            return f"list of {_type(node['items'])}{_count(node, 'Items')}"
        case "object" if isinstance(node.get("additionalProperties"), Mapping):
            return f"map of {_type(node['additionalProperties'])}"
        case "integer":
            return f"integer{_range(node)}"
        case other:
            return str(node.get("format", other)).replace("date-time", "time")


def _count(node: Schema, what: str) -> str:
    least, most = node.get(f"min{what}", 0), node.get(f"max{what}")
    return "" if most is None else f", {least} to {most}" if least else f", at most {most}"


def _range(node: Schema) -> str:
    least, most = node.get("minimum"), node.get("maximum")
    return f", {least} to {most}" if most is not None else f", at least {least}" if least is not None else ""


def _default(node: Schema, types: Schema) -> str:
    """The default where it says more than the type's own defaults do."""
    default = node.get("default")
    if isinstance(default, Mapping):
        own = _referred(node, types).get("properties", {})
        default = {name: value for name, value in default.items() if value not in (own[name].get("default"), {})}
    return "" if default in (None, {}, []) else f"`{_flow(default)}`"


def _flow(value: Any) -> str:
    """As YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path(sys.argv[1]).write_text(reference_page())

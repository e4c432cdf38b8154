"""Makes what the chart has from elsewhere: `python scripts/chart.py [--check]`.

The custom resource definition and the operator's rights are copies; the schema of the values and the table in the
chart's README come from values.yaml, where `# --` describes a value and `# @schema` narrows it.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "streaming-stack"
COPIES = {
    "crds/streamingstacks.yaml": ROOT / "crds" / "streamingstacks.yaml",
    "files/rbac.yaml": ROOT / "operator" / "rbac.yaml",
    "files/adapter-rbac.yaml": ROOT / "operator" / "adapter-rbac.yaml",
    "files/recording.wav": ROOT / "examples" / "audio" / "en_libri_1688-142285-0002.wav",
}
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
_BEGIN, _END = "<!-- values -->\n", "<!-- /values -->\n"


@dataclass(frozen=True)
class Value:
    """One key of values.yaml; `inner` has the keys below it, unless it is described and so a value itself."""

    path: str
    default: Any
    about: str = ""
    narrowed: dict[str, Any] = field(default_factory=dict)
    inner: tuple["Value", ...] = ()


def read_values(text: str) -> tuple[Value, ...]:
    """The values, in order. Raises ValueError naming one that nobody described."""
    lines = text.splitlines()
    return tuple(_below(yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text), "", lines))


def _below(node: Any, loaded: dict[str, Any], prefix: str, lines: list[str]) -> Iterator[Value]:
    for key, below in node.value:
        about, narrowed = _comment(lines, key.start_mark.line)
        path, default = prefix + key.value, loaded[key.value]
        if isinstance(default, dict) and default and not about:
            yield Value(path, default, inner=tuple(_below(below, default, f"{path}.", lines)))
        elif about:
            yield Value(path, default, about, narrowed)
        else:
            raise ValueError(f"values.yaml: {path} has no description; write `# -- ...` above it")


def _comment(lines: list[str], row: int) -> tuple[str, dict[str, Any]]:
    about, narrowed = "", {}
    while row > 0 and lines[row - 1].lstrip().startswith("# "):
        row -= 1
        comment = lines[row].strip()
        if comment.startswith("# -- "):
            about = comment.removeprefix("# -- ")
        elif comment.startswith("# @schema "):
            narrowed = json.loads(comment.removeprefix("# @schema "))
    return about, narrowed


def schema(values: tuple[Value, ...], definition: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of the values; a stack's `spec` is judged as the definition does, without its rules."""
    made = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "streaming-stack", **_object(values)}
    # Helm gives it to charts that have this one as a part.
    made["properties"]["global"] = {"type": "object"}
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    stack = made["properties"]["stack"]
    stack["if"] = {"properties": {"enabled": {"const": True}}, "required": ["enabled"]}
    stack["then"] = {"properties": {"spec": strict(spec)}}
    return made


def _object(values: tuple[Value, ...]) -> dict[str, Any]:
    properties = {value.path.rpartition(".")[2]: _of(value) for value in values}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _of(value: Value) -> dict[str, Any]:
    if value.inner:
        return _object(value.inner)
    kind = "object" if isinstance(value.default, dict) else _TYPES[type(value.default)]
    return {"type": kind, "description": value.about, "default": value.default, **value.narrowed}


def strict(openapi: Any) -> Any:
    """A definition's schema as a JSON schema that takes no unknown field; without its words, defaults and CEL rules."""
    if isinstance(openapi, list):
        return [strict(each) for each in openapi]
    if not isinstance(openapi, dict):
        return openapi
    if openapi.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    dropped = ("description", "default", "example", "format", "nullable")
    made = {
        key: {name: strict(each) for name, each in below.items()} if key == "properties" else strict(below)
        for key, below in openapi.items()
        if key not in dropped and not key.startswith("x-kubernetes-")
    }
    open_to_all = openapi.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in made and "additionalProperties" not in made and not open_to_all:
        made["additionalProperties"] = False
    return made


def table(values: tuple[Value, ...]) -> str:
    """The values as a table in Markdown."""
    rows = ["| value | default | |", "|---|---|---|"]
    for value in leaves(values):
        default = json.dumps(value.default).replace("|", "\\|")
        rows.append(f"| `{value.path}` | `{default}` | {value.about.replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def leaves(values: tuple[Value, ...]) -> Iterator[Value]:
    """What can be set."""
    for value in values:
        if value.inner:
            yield from leaves(value.inner)
        else:
            yield value


def made_files() -> dict[Path, bytes]:
    """Every file that is made, and what belongs into it."""
    files = {CHART / path: source.read_bytes() for path, source in COPIES.items()}
    values = read_values((CHART / "values.yaml").read_text())
    definition = yaml.safe_load(COPIES["crds/streamingstacks.yaml"].read_text())
    files[CHART / "values.schema.json"] = (json.dumps(schema(values, definition), indent=1) + "\n").encode()
    readme = CHART / "README.md"
    before, _, rest = readme.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    files[readme] = f"{before}{_BEGIN}{table(values)}{_END}{after}".encode()
    return files


def main() -> int:
    """Write what changed; with `--check` only say what would, and fail."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not current")
    check = parser.parse_args().check
    stale = [path for path, body in made_files().items() if not path.exists() or path.read_bytes() != body]
    for path in stale:
        if check:
            sys.stderr.write(f"{path.relative_to(ROOT)} is not current; run `make generate`\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made_files()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())

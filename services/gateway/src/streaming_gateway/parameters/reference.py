"""The page of the parameters, made from their one model: `python -m streaming_gateway.parameters.reference FILE`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streaming_gateway.parameters.fields import ENCODINGS
from streaming_gateway.parameters.model import OLD_NAMES, ConnectParameters, Tunable
from streaming_gateway.parameters.presets import MODES, Preset, preset

Schema = Mapping[str, Any]
_EVERY_MODEL = "all"
_PRESETS = {
    "Universal-Streaming": preset("universal", "universal-streaming-english", None),
    **{f"Universal-3, `{mode}`": preset("universal-3", "universal-3-5-pro", mode) for mode in MODES},
    "as `u3-rt-pro`": preset("universal-3", "u3-rt-pro", "balanced"),
}
_OWN_TYPES = {"encoding": " or ".join(f"`{name}`" for name in ENCODINGS)}
_HEAD = """# Parameters

<!-- Made by `make generate` from streaming_gateway/parameters; change the model, not this page. -->

All go into the query, as text: booleans in any spelling (`true`, `1`, `yes`, `on`, and so on), lists and objects as
JSON. An empty value counts as absent, an unknown name is ignored, a wrong value is refused with 3006 and the
parameter's name before `Begin`. Those marked U may be changed by `UpdateConfiguration`, where they are JSON; a wrong
value there ends the session with 3006. `Begin` tells what holds. The protocol
around them: [protocol.md](../protocol.md).
"""


def reference_page() -> str:
    """The page in Markdown."""
    properties = ConnectParameters.model_json_schema()["properties"]
    rows = [_row(name, item) for name, item in properties.items()]
    renamed = [f"| `{old}` | `{new}` |" for old, new in OLD_NAMES.items()]
    parts = [
        _HEAD,
        "| parameter | | value | default | models | meaning |\n|---|---|---|---|---|---|",
        *rows,
        "\n## What a model and its mode preset\n",
        _presets(),
        "\n## Old names\n\nWhere both are sent, the newer one counts.\n",
        "| sent | read as |\n|---|---|",
        *renamed,
    ]
    return "\n".join(parts) + "\n"


def _row(name: str, item: Schema) -> str:
    tunable = "U" if name in Tunable.model_fields else ""
    models = item.get("models", _EVERY_MODEL)
    return (
        f"| `{name}` | {tunable} | {_value(name, item)} | {_default(name, item)} | {models} | {item['description']} |"
    )


def _value(name: str, item: Schema) -> str:
    if name in _OWN_TYPES:
        return _OWN_TYPES[name]
    kind = next((each for each in item.get("anyOf", []) if each.get("type") != "null"), item)
    if "enum" in kind:
        return " or ".join(f"`{value}`" for value in kind["enum"])
    names = {"array": "JSON list", "object": "JSON object", "integer": "whole number", "boolean": "boolean"}
    return names.get(kind["type"], str(kind["type"]))


def _default(name: str, item: Schema) -> str:
    if name in Preset.__dataclass_fields__:
        return "preset"
    value = {"end_of_turn_confidence_threshold": 0.4, "mode": "balanced"}.get(name, item.get("default"))
    return "" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _presets() -> str:
    fields = list(Preset.__dataclass_fields__)
    lines = [f"| | {' | '.join(f'`{field}`' for field in fields)} |", "|---" * (len(fields) + 1) + "|"]
    for name, values in _PRESETS.items():
        lines.append(f"| {name} | {' | '.join(str(getattr(values, field)).lower() for field in fields)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference_page())

"""The page of the parameters, made from their one model: `python -m streaming_gateway.parameters.reference FILE`."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from stack_model.catalogue import Family, GatewayModel

from streaming_gateway.catalogue import Catalogue
from streaming_gateway.parameters.fields import Language
from streaming_gateway.parameters.model import OLD_NAMES, ConnectParameters, Tunable
from streaming_gateway.parameters.presets import MODES, Preset, preset
from streaming_gateway.parameters.session_config import resolve

Schema = Mapping[str, Any]
_EVERY_MODEL = "all"
_PRESETS = {
    "Universal-Streaming": preset("universal", "universal-streaming-english", None),
    **{f"Universal-3, `{mode}`": preset("universal-3", "universal-3-5-pro", mode) for mode in MODES},
    "as `u3-rt-pro`": preset("universal-3", "u3-rt-pro", "balanced"),
}
_HEAD = """# Parameters

<!-- Made by `make generate` from streaming_gateway/parameters; change the model, not this page. -->

All go into the query, as text: booleans in any spelling (`true`, `1`, `yes`, `on`, and so on), lists and objects as
JSON, each once. An empty value counts as absent, an unknown name is ignored, a wrong value is refused with 3006 and the
parameter's name, as it was sent, before `Begin`. Those marked U may be changed by `UpdateConfiguration`, where they are
JSON; a wrong value there ends the session with 3006. `Begin` tells what holds. The protocol
around them: [protocol.md](../protocol.md).
"""
_AFTER_PRESETS = """
The modes of Universal-3 start from others where the gateway's environment (`spec.gateway.pods.env`) has
`UNIVERSAL_3_MIN_TURN_SILENCE`, `UNIVERSAL_3_MAX_TURN_SILENCE` or `UNIVERSAL_3_VAD_THRESHOLD`. `max_accuracy` keeps its
own `min_turn_silence` unless the one there is longer."""


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
        _AFTER_PRESETS,
        "\n## Codes of languages\n",
        f"{', '.join(f'`{code}`' for code in get_args(Language))}.",
        "\n## Old names\n\nWhere both are sent, the newer one counts.\n",
        "| sent | read as |\n|---|---|",
        *renamed,
    ]
    return "\n".join(parts) + "\n"


def _row(name: str, item: Schema) -> str:
    tunable = "U" if name in Tunable.model_fields else ""
    models = item.get("models", _EVERY_MODEL)
    return f"| `{name}` | {tunable} | {_value(item)} | {_default(name, item)} | {models} | {item['description']} |"


def _value(item: Schema) -> str:
    kind = next((each for each in item.get("anyOf", []) if each.get("type") != "null"), item)
    if "enum" in kind or "const" in kind:
        return " or ".join(f"`{value}`" for value in kind.get("enum", [kind.get("const")]))
    names = {"array": "JSON list", "object": "JSON object", "integer": "whole number"}
    return names.get(kind["type"], str(kind["type"])) + _bounds(kind)


def _bounds(kind: Schema) -> str:
    match kind:
        case {"minimum": least, "maximum": most}:
            return f", {least} to {most}"
        case {"minimum": least}:
            return f" from {least}"
        case {"maxItems": most}:
            return f", at most {most}"
        case {"maxLength": most}:
            return f", at most {most} characters"
    return ""


def _default(name: str, item: Schema) -> str:
    if name in Preset.__dataclass_fields__:
        return "preset"
    family: Family = "universal-3" if item.get("models") == "universal-3" else "universal"
    value = _held(family).get(name, item.get("default"))
    return "" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _held(family: Family) -> Schema:
    """What a session of `family` holds whose client says nothing."""
    name = "universal-3-5-pro" if family == "universal-3" else "universal-streaming-english"
    config = resolve(ConnectParameters(), Catalogue((GatewayModel(speech_model=name, route=name, family=family),)))
    return {**config.echo(), "keyterms_prompt": list(config.hearing.keyterms)}


def _presets() -> str:
    fields = list(Preset.__dataclass_fields__)
    lines = [f"| | {' | '.join(f'`{field}`' for field in fields)} |", "|---" * (len(fields) + 1) + "|"]
    for name, values in _PRESETS.items():
        lines.append(f"| {name} | {' | '.join(str(getattr(values, field)).lower() for field in fields)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference_page())

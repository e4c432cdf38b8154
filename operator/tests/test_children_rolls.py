"""What rolls and what reloads: a change of each field replaces these pods, changes these mounted files, and no other.

ARCHITECTURE.md has the same table for people; it is read here.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from operator_factories import built
from rolls_table import BALANCER, EVERYTHING, GATEWAY, POOL, PROXY, ROWS, STORE, SYNC, Row
from spec_leaves import changed, leaves

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"
EVERY = "every part"
_WORKLOADS = {
    ("Deployment", "demo-gateway"): GATEWAY,
    ("StatefulSet", "demo-license-proxy"): PROXY,
    ("Deployment", "demo-lb"): BALANCER,
    ("Deployment", "demo-model-store"): STORE,
    ("Deployment", "demo-asr-en-default"): POOL,
    ("Deployment", "demo-sync-api"): SYNC,
}
_MOUNTED = {
    ("ConfigMap", "demo-gateway-models"): GATEWAY,
    ("Secret", "demo-api-keys"): GATEWAY,
    ("ConfigMap", "demo-lb-routes"): BALANCER,
    ("ConfigMap", "demo-model-store"): STORE,
}
# Another name is another model; of the rest one value is served, so there is nothing to change.
_UNCHANGED = {
    "models[].name",
    "models[].engine",
    "tls.internal.secretName",
    "observability.tracing.endpoint",
}


def _templates(children: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    return {part: children[key]["spec"]["template"] for key, part in _WORKLOADS.items() if key in children}


def _files(children: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    return {f"{part} {key}": children[key]["data"] for key, part in _MOUNTED.items() if key in children}


def _others(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.field)
def test_a_change_rolls_and_reloads_what_the_table_says_and_nothing_else(row: Row) -> None:
    for old, new in row.changes:
        before, after = built(*old), built(*new)
        assert _others(_templates(before), _templates(after)) == row.rolls
        reloaded = {name.partition(" (")[0] for name in _others(_files(before), _files(after))}
        assert reloaded == row.reloads


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_field], ids=lambda row: row.field)
def test_each_change_of_a_row_is_one_of_the_field_that_it_names(row: Row) -> None:
    for (before, _), (after, _) in row.changes:
        fields = changed(before, after)
        assert fields
        assert {field for field in fields if not re.match(rf"{re.escape(row.field)}(\.|\[|$)", field)} == set()


def test_every_field_of_the_spec_is_changed_in_some_row() -> None:
    changes = [change for row in ROWS if row.is_field for change in row.changes]
    shown = {field for (before, _), (after, _) in changes for field in changed(before, after)}
    assert {field for field, _ in leaves()} - shown == _UNCHANGED


def _documented() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    _, _, section = ARCHITECTURE.read_text().partition("## What rolls and what reloads")
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|", section.partition("\n## ")[0], re.MULTILINE)
    parts = {
        field.replace("`", ""): (_parts(rolls), _parts(reloads))
        for fields, rolls, reloads in rows
        if not fields.startswith(("change", "---"))
        for field in fields.split("; ")
    }
    assert parts
    return parts


def _parts(cell: str) -> frozenset[str]:
    if cell == EVERY:
        return EVERYTHING
    return frozenset(part for part in cell.split(", ") if part != "–")


def test_the_table_in_the_architecture_says_the_same() -> None:
    assert _documented() == {row.field: (row.rolls, row.reloads) for row in ROWS}

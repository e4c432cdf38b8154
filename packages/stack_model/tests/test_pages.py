"""What the pages promise: their stacks can be applied as they stand, and their links lead somewhere."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_model.api import load_stack
from stack_model.crd import structural_schema

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "SECURITY.md"))])
PRODUCTION = ROOT / "docs" / "production.md"
_FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^()\s]+)\)|^\[[^\]]+\]: (?P<reference>\S+)", re.MULTILINE)
_FIELD = re.compile(r"`(?P<path>[a-z]\w*(\[\])?(\.[\w<>]+(\[\])?)+)(?=[`: ])")
_FILES = {"jwt", "log"}
_HEADING = re.compile(r"^#+ (?P<words>.+)$", re.MULTILINE)


def stacks() -> Iterator[tuple[str, str]]:
    """Page and number of each block of YAML that has a StreamingStack, and its text."""
    for page in PAGES:
        for number, fence in enumerate(_FENCE.finditer(page.read_text()), 1):
            if fence["language"] == "yaml" and "kind: StreamingStack" in fence["text"]:
                yield f"{page.name} {number}", fence["text"]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may end with, as the forge makes it of the heading's words."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-") for words in headings}


def broken(page: Path) -> Iterator[str]:
    """The links of a page within this repository that lead nowhere."""
    for link in _LINK.finditer(_FENCE.sub("", page.read_text())):
        target = link["target"] or link["reference"]
        if ":" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else (page.parent / path).resolve()
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield target


def values(below: Any, path: str = "") -> Iterator[str]:
    """Every value of the chart, with dots."""
    yield path
    for name, value in below.items() if isinstance(below, dict) else ():
        yield from values(value, f"{path}.{name}".strip("."))


def has(schema: dict[str, Any], path: Sequence[str]) -> bool:
    """Whether the schema has the field; what is free below a field is not looked at."""
    schema = schema.get("items", schema)
    if not path or "properties" not in schema:
        return True
    return path[0] in schema["properties"] and has(schema["properties"][path[0]], path[1:])


def unknown_fields(page: Path, chart: frozenset[str]) -> Iterator[str]:
    """What a page calls like a field of the StreamingStack or a value of the chart, and is neither."""
    root = structural_schema()
    spec = root["properties"]["spec"]
    model = spec["properties"]["models"]
    for found in _FIELD.finditer(_FENCE.sub("", page.read_text())):
        path = found["path"].replace("[]", "").replace("<part>", "gateway")
        first, *_, last = names = path.split(".")
        if last in _FILES or first not in {"spec", "status", *spec["properties"], *chart}:
            continue
        # Labels among the values are free; where a page speaks of one model, its fields stand alone.
        value = path in chart or f"{path.rpartition('.labels.')[0]}.labels" in chart
        known = has(root, names) if first in ("spec", "status") else value or has(spec, names) or has(model, names)
        if not known:
            yield path


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in stacks()])
def test_every_stack_of_a_page_is_one_that_the_command_line_takes(tmp_path: Path, text: str) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(text)
    assert load_stack(file).spec.models


def test_every_other_block_of_yaml_can_be_read() -> None:
    for page in PAGES:
        for fence in _FENCE.finditer(page.read_text()):
            if fence["language"] == "yaml":
                assert list(yaml.safe_load_all(fence["text"])), page


def test_every_field_and_value_that_a_page_names_is_there() -> None:
    chart = frozenset(values(yaml.safe_load((ROOT / "charts" / "streaming-stack" / "values.yaml").read_text())))
    assert {page.name: found for page in PAGES if (found := list(unknown_fields(page, chart)))} == {}


def test_every_link_within_the_repository_leads_somewhere() -> None:
    assert {page.name: found for page in PAGES if (found := list(broken(page)))} == {}


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[here](#a-heading) [gone](gone.md) [lost](#no-heading)\n")
    assert list(broken(page)) == ["gone.md", "#no-heading"]


def test_a_field_that_is_not_there_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "`models[].streams.maxPerPod` `gateway.speed` `spec.gone: 1` `operator.workers` `operator.colour` `a.b`"
    )
    chart = frozenset({"operator", "operator.workers"})
    assert list(unknown_fields(page, chart)) == ["gateway.speed", "spec.gone", "operator.colour"]


def test_the_page_for_production_has_every_alert_of_the_chart_and_no_other() -> None:
    files = [yaml.safe_load(file.read_text()) for file in ROOT.glob("charts/streaming-stack/alerts/*.yaml")]
    alerts = {rule["alert"] for file in files for group in file["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^\| `(Streaming\w+)`", PRODUCTION.read_text(), re.MULTILINE)) == alerts

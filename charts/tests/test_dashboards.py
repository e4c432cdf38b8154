"""Every panel asks for metrics that exist, in PromQL that Prometheus reads."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import exported_metrics
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "charts" / "streaming-stack" / "dashboards").glob("*.json"))
BOARDS: dict[str, dict[str, Any]] = {file.stem: json.loads(file.read_text()) for file in FILES}
PROMTOOL = shutil.which("promtool")


def expressions(board: dict[str, Any]) -> list[str]:
    """What its panels ask, as Prometheus gets it."""
    variables = {"$__rate_interval": "5m", "$namespace": "n", "$stack": "s"}
    found = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    for name, value in variables.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def test_the_files_are_those_that_their_source_gives() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "dashboards.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(BOARDS) == {"stack", "operator"}


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_asks_for_metrics_that_are_exported(name: str) -> None:
    for expression in expressions(BOARDS[name]):
        asked = exported_metrics.named_in(expression)
        assert asked, expression
        assert asked <= exported_metrics.EXPORTED, expression


def test_one_stack_is_never_shown_with_another() -> None:
    for expression in expressions(BOARDS["stack"]):
        series = re.findall(
            r"(?:streaming_|gateway_recognizer_|license_proxy_|model_store_)\w+(\{[^}]*\})?", expression
        )
        assert series
        assert all(one == '{namespace="n", stack="s"}' for one in series), expression


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_places_of_their_own(name: str) -> None:
    panels = BOARDS[name]["panels"]
    taken = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")
def test_prometheus_reads_every_expression(tmp_path: Path) -> None:
    asked = [expression for board in BOARDS.values() for expression in expressions(board)]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    file = tmp_path / "panels.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run([str(PROMTOOL), "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

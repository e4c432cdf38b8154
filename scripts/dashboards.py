"""Writes the Grafana dashboards of the chart: `python scripts/dashboards.py [--check]`."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from dashboard_panels import OPERATOR, STACK, Panel

FOLDER = Path(__file__).parents[1] / "charts" / "streaming-stack" / "dashboards"
_OF = '{namespace="$namespace", stack="$stack"}'
_COLUMNS, _WIDTH, _HEIGHT = 24, 8, 8


def dashboard(uid: str, title: str, rows: dict[str, list[Panel]], *, by_stack: bool) -> dict[str, Any]:
    """The JSON that Grafana imports."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["streamingstack"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": _variables(by_stack)},
        "panels": _panels(rows),
    }


def _variables(by_stack: bool) -> list[dict[str, Any]]:
    source = {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    if not by_stack:
        return [source]
    namespace = "label_values(streaming_gateway_sessions_capacity, namespace)"
    stack = 'label_values(streaming_gateway_sessions_capacity{namespace="$namespace"}, stack)'
    return [source, _choice("namespace", namespace), _choice("stack", stack)]


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
    }


def _panels(rows: dict[str, list[Panel]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    top = 0
    for title, panels in rows.items():
        found.append(_placed({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, top, _COLUMNS, 1))
        top += 1
        for index, panel in enumerate(panels):
            line, column = divmod(index, _COLUMNS // _WIDTH)
            found.append(_placed(_panel(panel), column * _WIDTH, top + line * _HEIGHT, _WIDTH, _HEIGHT))
        top += -(-len(panels) // (_COLUMNS // _WIDTH)) * _HEIGHT
    return [{"id": number, **panel} for number, panel in enumerate(found, 1)]


def _placed(panel: dict[str, Any], x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {**panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.about,
        "datasource": {"type": "prometheus", "uid": "$datasource"},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {} if panel.stat else {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list"}},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expression.replace("@", _OF), "legendFormat": legend or "__auto"}
            for number, (legend, expression) in enumerate(panel.queries.items())
        ],
    }


DASHBOARDS = {
    "stack.json": dashboard("streamingstack-stack", "StreamingStack", STACK, by_stack=True),
    "operator.json": dashboard("streamingstack-operator", "StreamingStack operator", OPERATOR, by_stack=False),
}


def main() -> int:
    """Write the files, or with `--check` say which of them are stale."""
    parser = argparse.ArgumentParser(description="The Grafana dashboards of the chart.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is stale")
    check = parser.parse_args().check
    stale = [name for name, found in DASHBOARDS.items() if not _is_current(name, found)]
    for name in stale:
        if check:
            sys.stderr.write(f"{FOLDER / name} is stale: run python scripts/dashboards.py\n")
        else:
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / name).write_text(_text(DASHBOARDS[name]))
    return 1 if check and stale else 0


def _is_current(name: str, found: dict[str, Any]) -> bool:
    path = FOLDER / name
    return path.exists() and path.read_text() == _text(found)


def _text(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())

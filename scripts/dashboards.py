"""Writes the Grafana dashboards of the chart: `python scripts/dashboards.py [--check]`.

Panels are lines here and not JSON, so that a change of one is a change of one line.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "charts" / "streaming-stack" / "dashboards"
_OF = '{namespace="$namespace", stack="$stack"}'
_COLUMNS, _WIDTH, _HEIGHT = 24, 8, 8


@dataclass(frozen=True)
class Panel:
    """A graph, or one number where `stat`; `queries` maps legends to expressions, in which `@` stands for the stack."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    about: str = ""
    stat: bool = False


def _p(quantile: float, metric: str, by: str = "") -> str:
    grouped = f"le, {by}" if by else "le"
    return f"histogram_quantile({quantile}, sum by ({grouped}) (rate({metric}_bucket@[$__rate_interval])))"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}@[$__rate_interval]))"


def _quantiles(metric: str) -> dict[str, str]:
    return {"{{model}} p50": _p(0.5, metric, "model"), "{{model}} p95": _p(0.95, metric, "model")}


_ACTIVE, _CAPACITY = "streaming_gateway_sessions_active@", "streaming_gateway_sessions_capacity@"
_DRAINS = "on (namespace, pod) streaming_gateway_draining@ == 1"
_POD_DRAINS = "on (namespace, pod) streaming_asr_draining@ == 1"
_HEARD = "sum by (pool) (rate(streaming_asr_audio_seconds_total@[1h]))"
_RECONCILES = "sum by (le) (rate(streaming_operator_reconcile_seconds_bucket[$__rate_interval]))"
_REQUESTS = "sum by (verb, kind, code) (rate(streaming_operator_api_requests_total[$__rate_interval]))"

STACK: dict[str, list[Panel]] = {
    "Sessions": [
        Panel("Open sessions", {"": f"sum({_ACTIVE})"}, stat=True),
        Panel(
            "Full",
            {"": f"sum({_ACTIVE}) / sum({_CAPACITY})"},
            "percentunit",
            stat=True,
        ),
        Panel("Gateways that drain", {"": "sum(streaming_gateway_draining@)"}, stat=True),
        Panel(
            "Sessions and capacity",
            {
                "open": f"sum({_ACTIVE})",
                "capacity": f"sum({_CAPACITY} unless {_DRAINS})",
                "open on gateways that drain": f"sum({_ACTIVE} and {_DRAINS})",
            },
        ),
        Panel(
            "Refused sessions",
            {"{{reason}}": _rate("streaming_gateway_sessions_refused_total", "reason")},
            "reqps",
            "Before Begin. `capacity`: every gateway was full; `recognizers`: every recogniser of the model was.",
        ),
        Panel(
            "Ended sessions",
            {"{{code}} {{reason}}": _rate("streaming_gateway_sessions_ended_total", "code, reason")},
            "reqps",
        ),
    ],
    "Speed, as clients see it": [
        Panel(
            "First words of a turn",
            _quantiles("streaming_gateway_first_partial_seconds"),
            "s",
            "From the arrival of a turn's first speech.",
        ),
        Panel(
            "End of a turn",
            _quantiles("streaming_gateway_final_seconds"),
            "s",
            "From a turn's last word; the silence waited for is part of it.",
        ),
        Panel(
            "Begin",
            {"p50": _p(0.5, "streaming_gateway_begin_seconds"), "p95": _p(0.95, "streaming_gateway_begin_seconds")},
            "s",
        ),
        Panel(
            "Audio not yet heard, by session",
            {"": f"sum(streaming_gateway_backlog_seconds@) / (sum({_ACTIVE}) > 0)"},
            "s",
            "More than a second or two: recognisers do not keep up.",
        ),
        Panel(
            "From a chunk's arrival until it is heard",
            {"{{pool}} p95": _p(0.95, "streaming_asr_chunk_latency_seconds", "pool")},
            "s",
        ),
        Panel("Turns", {"{{model}}": _rate("streaming_gateway_turns_total", "model")}, "reqps"),
    ],
    "Models": [
        Panel(
            "Streams and capacity",
            {
                "{{pool}}": "sum by (pool) (streaming_asr_streams_active@)",
                "{{pool}} capacity": f"sum by (pool) (streaming_asr_streams_capacity@ unless {_POD_DRAINS})",
            },
        ),
        Panel("Decodes that wait or run", {"{{pool}}": "sum by (pool) (streaming_asr_engine_queue_depth@)"}),
        Panel("One decode", {"{{pool}} p95": _p(0.95, "streaming_asr_engine_decode_seconds", "pool")}, "s"),
        Panel(
            "Decoding by real time",
            {"{{pool}} p95": _p(0.95, "streaming_asr_engine_real_time_factor", "pool")},
            "percentunit",
            "Seconds of a decode by seconds of its window.",
        ),
        Panel(
            "Tentative decodes left out under load",
            {"{{pool}}": _rate("streaming_asr_engine_glimpses_shed_total", "pool")},
            "reqps",
        ),
        Panel(
            "Pod-seconds for an hour of audio",
            {"{{pool}}": f"3600 * count by (pool) (streaming_asr_streams_capacity@) / ({_HEARD} > 0)"},
            "s",
            "What an hour of audio costs: GPU-seconds, where each pod has one card.",
        ),
    ],
    "When recognisers fail": [
        Panel(
            "Streams that moved",
            {"{{route}} {{reason}}": _rate("gateway_recognizer_failovers_total", "route, reason")},
            "reqps",
        ),
        Panel(
            "Gap of a move",
            {
                "{{route}} p50": _p(0.5, "gateway_recognizer_failover_gap_seconds", "route"),
                "{{route}} p95": _p(0.95, "gateway_recognizer_failover_gap_seconds", "route"),
            },
            "s",
        ),
        Panel("Sessions lost", {"": "sum(increase(gateway_recognizer_sessions_lost_total@[$__rate_interval]))"}),
        Panel(
            "Audio sent again",
            {"": "sum(rate(gateway_recognizer_replayed_audio_seconds_total@[$__rate_interval]))"},
            "s",
        ),
        Panel(
            "Streams refused by recognisers",
            {"{{status}}": _rate("gateway_recognizer_refusals_total", "status")},
            "reqps",
        ),
        Panel("Triton serves", {"{{pod}}": "min by (pod) (streaming_asr_engine_up@)"}),
    ],
    "Licence, usage, models on disk": [
        Panel(
            "Days of the licence",
            {"": "(min(license_proxy_license_expires_timestamp_seconds@) - time()) / 86400"},
            "d",
            stat=True,
        ),
        Panel("Licence", {"{{state}}": "max by (state) (license_proxy_license_state@) == 1"}, stat=True),
        Panel("Sessions with undelivered usage", {"{{pod}}": "sum by (pod) (license_proxy_usage_sessions_pending@)"}),
        Panel(
            "Usage taken in", {"": "sum(rate(license_proxy_usage_events_accepted_total@[$__rate_interval]))"}, "reqps"
        ),
        Panel(
            "Hours of audio by hour", {"{{model}}": _rate("streaming_gateway_audio_seconds_total", "model")}, "short"
        ),
        Panel(
            "Model store",
            {"free": "min(model_store_disk_free_bytes@)", "{{model}}": "max by (model) (model_store_model_bytes@)"},
            "bytes",
        ),
    ],
}

OPERATOR: dict[str, list[Panel]] = {
    "Stacks": [
        Panel("Stacks", {"": "max(streaming_operator_stacks)"}, stat=True),
        Panel(
            "Not ready", {"": 'count(streaming_operator_stack_condition{type="Ready"} == 0) or vector(0)'}, stat=True
        ),
        Panel("Objects watched", {"": "max(streaming_operator_objects)"}, stat=True),
        Panel(
            "Conditions that do not hold",
            {"{{namespace}}/{{stack}} {{type}}": 'streaming_operator_stack_condition{type!="Progressing"} == 0'},
        ),
    ],
    "Work": [
        Panel(
            "One reconcile",
            {f"p{round(100 * share)}": f"histogram_quantile({share}, {_RECONCILES})" for share in (0.5, 0.95)},
            "s",
        ),
        Panel(
            "Reconciles that fail",
            {"{{error}}": "sum by (error) (rate(streaming_operator_reconcile_failures_total[$__rate_interval]))"},
            "reqps",
        ),
        Panel(
            "Queue",
            {
                "due": "max(streaming_operator_queue_depth)",
                "oldest, in seconds": "max(streaming_operator_queue_oldest_seconds)",
            },
        ),
        Panel(
            "Requests to the API server",
            {"{{verb}} {{kind}} {{code}}": _REQUESTS},
            "reqps",
            "PATCH while nothing changes would be a fault.",
        ),
        Panel(
            "Children refused",
            {"{{reason}}": "sum by (reason) (rate(streaming_operator_children_refused_total[$__rate_interval]))"},
            "reqps",
        ),
    ],
}


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

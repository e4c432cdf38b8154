"""The panels of the Grafana dashboards.

They are lines here and not JSON, so that a change of one is a change of one line; `dashboards.py` writes the JSON.
"""

from dataclasses import dataclass


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
    "Recordings (sync API)": [
        Panel(
            "Recordings in work and room",
            {"in work": "sum(streaming_sync_requests_active@)", "room": "sum(streaming_sync_requests_capacity@)"},
        ),
        Panel(
            "Answers",
            {"{{status}} {{code}}": _rate("streaming_sync_answers_total", "status, code")},
            "reqps",
            "`capacity_exceeded`: live sessions left no place within the time that a recording waits.",
        ),
        Panel("From a recording's last byte to its words", _quantiles("streaming_sync_inference_seconds"), "s"),
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

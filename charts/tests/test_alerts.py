"""Every alert fires when it should, stays silent when it should not, and says what to do. promtool is the judge."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import exported_metrics
import pytest
import yaml

ALERTS = sorted((Path(__file__).parents[1] / "streaming-stack" / "alerts").glob("*.rules.yaml"))
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for file in ALERTS
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
}
PROMTOOL = shutil.which("promtool")
STACK = 'namespace="speech", stack="demo"'
GATEWAY = f'{STACK}, component="gateway", pod="g-1"'
OTHER = f'{STACK}, component="gateway", pod="g-2"'
POOL = f'{STACK}, component="asr", pool="en", pod="a-1"'
LEAVING = f'{STACK}, component="asr", pool="en", pod="a-2"'
SYNC = f'{STACK}, component="sync-api", pod="s-1"'
PROXY = f'{STACK}, component="license-proxy", pod="p-0"'
STORE = f'{STACK}, component="model-store", pod="m-1"'
CONDITION = f'streaming_operator_stack_condition{{{STACK}, type="%s"}}'
BY_STACK = {"namespace": "speech", "stack": "demo"}
BY_POOL = {**BY_STACK, "pool": "en"}


@dataclass(frozen=True)
class Case:
    """Series that fire and series that must not, in promtool's words, a value each minute; `at` is when to look."""

    alert: str
    fires: dict[str, str]
    silent: dict[str, str]
    labels: dict[str, str]
    at: str = "30m"


CASES = [
    Case(
        "StreamingStackNotReady",
        {CONDITION % "Ready": "0x40"},
        {CONDITION % "Ready": "0x5 1x40", CONDITION % "Progressing": "0x40"},
        BY_STACK,
    ),
    Case(
        "StreamingScalingSignalLost",
        {CONDITION % "ScalingSignal": "0x40"},
        {CONDITION % "ScalingSignal": "1x40"},
        BY_STACK,
    ),
    Case(
        "StreamingPodNotScraped",
        {f"up{{{GATEWAY}}}": "0x40"},
        # Pods of others are no business of ours.
        {f"up{{{GATEWAY}}}": "1x40", 'up{namespace="speech", component="gateway", pod="x"}': "0x40"},
        {**BY_STACK, "component": "gateway", "pod": "g-1"},
    ),
    Case(
        "StreamingSessionsRefused",
        {f'streaming_gateway_sessions_refused_total{{{GATEWAY}, reason="recognizers"}}': "0+1x40"},
        {
            f'streaming_gateway_sessions_refused_total{{{GATEWAY}, reason="unauthorized"}}': "0+9x40",
            f'streaming_gateway_sessions_refused_total{{{GATEWAY}, reason="capacity"}}': "7x40",
        },
        {**BY_STACK, "reason": "recognizers"},
    ),
    Case(
        "StreamingGatewaysNearlyFull",
        {
            f"streaming_gateway_sessions_active{{{GATEWAY}}}": "46x40",
            f"streaming_gateway_sessions_capacity{{{GATEWAY}}}": "48x40",
            # One that drains is neither load nor room.
            f"streaming_gateway_sessions_active{{{OTHER}}}": "1x40",
            f"streaming_gateway_sessions_capacity{{{OTHER}}}": "48x40",
            f"streaming_gateway_draining{{{OTHER}}}": "1x40",
        },
        {
            f"streaming_gateway_sessions_active{{{GATEWAY}}}": "40x40",
            f"streaming_gateway_sessions_capacity{{{GATEWAY}}}": "48x40",
            f"streaming_gateway_draining{{{GATEWAY}}}": "0x40",
        },
        BY_STACK,
    ),
    Case(
        "StreamingModelNearlyFull",
        {f"streaming_asr_streams_active{{{POOL}}}": "27x40", f"streaming_asr_streams_capacity{{{POOL}}}": "28x40"},
        {
            f"streaming_asr_streams_active{{{POOL}}}": "20x40",
            f"streaming_asr_streams_capacity{{{POOL}}}": "28x40",
            # One that drains is neither load nor room.
            f"streaming_asr_streams_active{{{LEAVING}}}": "28x40",
            f"streaming_asr_streams_capacity{{{LEAVING}}}": "28x40",
            f"streaming_asr_draining{{{LEAVING}}}": "1x40",
        },
        BY_POOL,
    ),
    Case(
        "StreamingSessionsLost",
        {f"gateway_recognizer_sessions_lost_total{{{GATEWAY}}}": "0x20 2x20"},
        {f"gateway_recognizer_sessions_lost_total{{{GATEWAY}}}": "2x40"},
        BY_STACK,
        at="25m",
    ),
    Case(
        "StreamingFailoversOften",
        {f'gateway_recognizer_failovers_total{{{GATEWAY}, reason="unavailable"}}': "0+3x40"},
        {
            f'gateway_recognizer_failovers_total{{{GATEWAY}, reason="unavailable"}}': "0+1x40",
            f'gateway_recognizer_failovers_total{{{GATEWAY}, reason="draining"}}': "0+50x40",
        },
        BY_STACK,
    ),
    Case(
        "StreamingContractBroken",
        {f"gateway_recognizer_contract_troubles_total{{{GATEWAY}}}": "0+1x40"},
        {f"gateway_recognizer_contract_troubles_total{{{GATEWAY}}}": "4x40"},
        BY_STACK,
    ),
    Case(
        "StreamingRecordingsFail",
        {
            f'streaming_sync_answers_total{{{SYNC}, status="503", code="capacity_exceeded"}}': "0+2x40",
            f'streaming_sync_answers_total{{{SYNC}, status="200", code=""}}': "0+30x40",
        },
        {
            f'streaming_sync_answers_total{{{SYNC}, status="503", code="capacity_exceeded"}}': "0+1x40",
            f'streaming_sync_answers_total{{{SYNC}, status="200", code=""}}': "0+30x40",
            # Whoever sends rubbish is told so; that is no fault of ours.
            f'streaming_sync_answers_total{{{SYNC}, status="400", code="bad_audio"}}': "0+99x40",
        },
        {**BY_STACK, "code": "capacity_exceeded"},
    ),
    Case(
        "StreamingGatewayDrainsTooLong",
        {f"streaming_gateway_draining{{{GATEWAY}}}": "1x300"},
        {f"streaming_gateway_draining{{{GATEWAY}}}": "1x190 0x110"},
        {**BY_STACK, "component": "gateway", "pod": "g-1"},
        at="4h",
    ),
    Case(
        "StreamingBacklogGrows",
        {
            f"streaming_gateway_backlog_seconds{{{GATEWAY}}}": "120x40",
            f"streaming_gateway_sessions_active{{{GATEWAY}}}": "20x40",
        },
        {
            f"streaming_gateway_backlog_seconds{{{GATEWAY}}}": "20x40",
            f"streaming_gateway_sessions_active{{{GATEWAY}}}": "20x40",
        },
        BY_STACK,
    ),
    Case(
        "StreamingFirstWordsLate",
        {
            f'streaming_gateway_first_partial_seconds_bucket{{{GATEWAY}, model="m", le="2.0"}}': "0x40",
            f'streaming_gateway_first_partial_seconds_bucket{{{GATEWAY}, model="m", le="3.0"}}': "0+9x40",
            f'streaming_gateway_first_partial_seconds_bucket{{{GATEWAY}, model="m", le="+Inf"}}': "0+9x40",
        },
        {
            f'streaming_gateway_first_partial_seconds_bucket{{{GATEWAY}, model="m", le="1.0"}}': "0+9x40",
            f'streaming_gateway_first_partial_seconds_bucket{{{GATEWAY}, model="m", le="+Inf"}}': "0+9x40",
        },
        {**BY_STACK, "model": "m"},
        at="40m",
    ),
    Case(
        "StreamingDecodesSlow",
        {
            f'streaming_asr_engine_real_time_factor_bucket{{{POOL}, le="0.5"}}': "0x40",
            f'streaming_asr_engine_real_time_factor_bucket{{{POOL}, le="1.0"}}': "0+9x40",
            f'streaming_asr_engine_real_time_factor_bucket{{{POOL}, le="+Inf"}}': "0+9x40",
        },
        {
            f'streaming_asr_engine_real_time_factor_bucket{{{POOL}, le="0.1"}}': "0+9x40",
            f'streaming_asr_engine_real_time_factor_bucket{{{POOL}, le="+Inf"}}': "0+9x40",
        },
        BY_POOL,
        at="40m",
    ),
    Case(
        "StreamingModelServerDown",
        {f"streaming_asr_engine_up{{{POOL}}}": "0x40"},
        {f"streaming_asr_engine_up{{{POOL}}}": "1x28 0x12"},
        {**BY_POOL, "pod": "a-1"},
    ),
    Case(
        "StreamingLicenseEndsSoon",
        {f"license_proxy_license_expires_timestamp_seconds{{{PROXY}}}": "864000x40"},
        {f"license_proxy_license_expires_timestamp_seconds{{{PROXY}}}": "1728000x40"},
        BY_STACK,
    ),
    Case(
        "StreamingLicenseTrusted",
        {f'license_proxy_license_state{{{PROXY}, state="TrustBased"}}': "1x40"},
        {f'license_proxy_license_state{{{PROXY}, state="Connected"}}': "1x40"},
        BY_STACK,
    ),
    Case(
        "StreamingLicenseFailed",
        {f'license_proxy_license_state{{{PROXY}, state="Failed"}}': "1x40"},
        {f'license_proxy_license_state{{{PROXY}, state="Failed"}}': "0x40"},
        BY_STACK,
    ),
    Case(
        "StreamingLicenseNotReplaced",
        {f"license_proxy_license_replacements_refused_total{{{PROXY}}}": "0x20 1x20"},
        {f"license_proxy_license_replacements_refused_total{{{PROXY}}}": "1x40"},
        BY_STACK,
    ),
    Case(
        "StreamingUsageCannotBeKept",
        {f"license_proxy_storage_available{{{PROXY}}}": "0x40"},
        {f"license_proxy_storage_available{{{PROXY}}}": "1x40"},
        {**BY_STACK, "pod": "p-0"},
    ),
    Case(
        "StreamingUsageRefused",
        {
            f"streaming_gateway_usage_refused_sessions{{{GATEWAY}}}": "0x40",
            f"streaming_sync_usage_refused_sessions{{{SYNC}}}": "2x40",
        },
        {
            f"streaming_gateway_usage_refused_sessions{{{GATEWAY}}}": "0x40",
            f"streaming_sync_usage_refused_sessions{{{SYNC}}}": "0x40",
        },
        BY_STACK,
    ),
    Case(
        "StreamingModelFetchFails",
        {f'model_store_fetch_failures_total{{{STORE}, model="en", reason="network"}}': "0+1x40"},
        {f'model_store_fetch_failures_total{{{STORE}, model="en", reason="network"}}': "1x40"},
        {**BY_STACK, "model": "en"},
    ),
    Case(
        "StreamingModelStoreNearlyFull",
        {f"model_store_disk_free_bytes{{{STORE}}}": "5x40", f"model_store_disk_bytes{{{STORE}}}": "100x40"},
        {f"model_store_disk_free_bytes{{{STORE}}}": "20x40", f"model_store_disk_bytes{{{STORE}}}": "100x40"},
        BY_STACK,
    ),
    Case("StreamingOperatorDown", {}, {"streaming_operator_stacks": "3x40"}, {}),
    Case(
        "StreamingMetricsAdapterDown",
        {"streaming_operator_stacks": "3x40"},
        {"streaming_operator_stacks": "3x40", "streaming_metrics_adapter_pods": "0x40"},
        {},
    ),
    Case(
        "StreamingOperatorStuck",
        {"streaming_operator_queue_oldest_seconds": "200x40"},
        {"streaming_operator_queue_oldest_seconds": "20x40"},
        {},
    ),
    Case(
        "StreamingReconcilesFail",
        {'streaming_operator_reconcile_failures_total{error="ApiError"}': "0+1x40"},
        {'streaming_operator_reconcile_failures_total{error="ApiError"}': "3x40"},
        {"error": "ApiError"},
    ),
    Case(
        "StreamingUsageUndelivered",
        {f"license_proxy_usage_sessions_pending{{{PROXY}}}": "5x500"},
        {f"license_proxy_usage_sessions_pending{{{PROXY}}}": "5x200 0 5x300"},
        {**BY_STACK, "pod": "p-0"},
        at="7h",
    ),
]


def test_every_alert_has_a_case() -> None:
    assert sorted(case.alert for case in CASES) == sorted(RULES)


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed: apt-get install prometheus")
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    tests = [_test(case, fires) for case in CASES for fires in (True, False)]
    plan = {"rule_files": [str(file) for file in ALERTS], "evaluation_interval": "1m", "tests": tests}
    file = tmp_path / "alerts.test.yaml"
    file.write_text(yaml.safe_dump(plan))
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _test(case: Case, fires: bool) -> dict[str, Any]:
    firing = f'ALERTS{{alertname="{case.alert}", alertstate="firing"}}'
    labels = {**case.labels, "alertname": case.alert, "alertstate": "firing", **RULES[case.alert]["labels"]}
    text = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    series = case.fires if fires else case.silent
    return {
        "name": f"{case.alert} {'fires' if fires else 'is silent'}",
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": case.at,
                "exp_samples": [{"labels": f"ALERTS{{{text}}}", "value": 1}] if fires else [],
            }
        ],
    }


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_what_is_wrong_where_and_what_to_do(name: str) -> None:
    rule = RULES[name]
    annotations = rule["annotations"]
    case = next(case for case in CASES if case.alert == name)
    used = {label for text in annotations.values() for label in re.findall(r"\$labels\.(\w+)", text)}
    assert used <= set(case.labels), "a label that the expression does not give renders as nothing"
    assert {"summary", "description"} == set(annotations)
    assert rule["labels"]["severity"] in ("warning", "critical")


@pytest.mark.parametrize("name", RULES)
def test_an_alert_asks_for_metrics_that_are_exported(name: str) -> None:
    asked = exported_metrics.named_in(RULES[name]["expr"])
    assert asked
    assert asked <= exported_metrics.EXPORTED

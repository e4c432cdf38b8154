"""What `status` shows of a stack."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from streamingstack_cli.cluster.stacks import Load, summed, view_of, with_live
from streamingstack_cli.cluster.view import shown

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def stamp(**ago: float) -> str:
    return (NOW - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(type_: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(minutes=5),
    }


def stack(*conditions: dict[str, Any], generation: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "demo", "namespace": "speech", "generation": generation},
        "spec": {"models": [{"name": "en-default"}, {"name": "ml-default"}]},
        "status": {"observedGeneration": 1, "conditions": list(conditions), **status},
    }


GOOD = [
    condition("Accepted", "True", "Accepted"),
    condition("LicenseValid", "True", "Valid"),
    condition("Progressing", "False", "Complete"),
    condition("Ready", "True", "Ready"),
]


def text_of(*stacks: dict[str, Any], **live: Any) -> str:
    console = Console(width=120, color_system=None)
    views = [with_live(view_of(one), live.get("gateway"), live.get("models", {})) for one in stacks]
    with console.capture() as capture:
        console.print(shown(views, NOW))
    return capture.get()


def test_a_stack_that_is_well_takes_few_lines() -> None:
    gateway = {"ready": 2, "desired": 2, "draining": 1, "sessions": 24, "capacity": 96}
    models = [{"name": "en-default", "ready": 1, "desired": 1, "streams": 24, "capacity": 28, "phase": "Available"}]
    told = text_of(
        stack(
            *GOOD,
            gateway=gateway,
            models=models,
            endpoint="wss://speech.example",
            license={"state": "Connected", "trustExpiration": "2026-06-04T12:00:00Z"},
            countsTime=stamp(seconds=12),
        )
    )
    assert "speech/demo  Ready" in told
    assert "wss://speech.example" in told
    assert "licence Connected, trusted for 3 d" in told
    assert "24/96 sessions" in told
    assert "24/28 streams" in told
    assert "in use: as of 12 s ago, from the stack's status, as no pod could be asked" in told
    assert "holds: Accepted, LicenseValid, Ready" in told
    assert len(told.splitlines()) < 14


def test_what_is_wrong_is_told_with_its_remedy_and_its_age() -> None:
    remedy = "Secret speech/license not found; create it or fix spec.license.secretName"
    bad = [condition("LicenseValid", "False", "SecretMissing", remedy), condition("Ready", "False", "SecretMissing")]
    told = text_of(stack(*bad))
    assert "speech/demo  Not ready: SecretMissing" in told
    assert "LicenseValid=False SecretMissing, for 5 min" in told
    assert remedy in told


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"status": None}, "no word from an operator yet"),
        (
            {"metadata": {"name": "demo", "namespace": "speech", "deletionTimestamp": stamp(seconds=1)}},
            "is being deleted",
        ),
        ({"metadata": {"name": "demo", "namespace": "speech", "generation": 2}}, "has not looked at the last change"),
    ],
)
def test_who_is_behind_is_told(changed: dict[str, Any], says: str) -> None:
    assert says in text_of({**stack(*GOOD), **changed})


def test_live_counts_replace_the_operators() -> None:
    told = text_of(
        stack(*GOOD, gateway={"ready": 1, "desired": 1, "sessions": 9, "capacity": 48}, countsTime=stamp(seconds=25)),
        gateway=Load(11, 48),
        models={"en-default": Load(11, 28)},
    )
    assert "11/48 sessions" in told
    assert "11/28 streams" in told
    assert "in use: as the pods tell now" in told
    assert "from the stack's status" not in told


STATUS: dict[str, Any] = {
    "gateway": {"ready": 1, "desired": 1, "sessions": 9, "capacity": 48},
    "models": [{"name": "en-default", "ready": 1, "desired": 1, "streams": 9, "capacity": 28}],
    "countsTime": stamp(seconds=25),
}


def test_a_part_whose_pods_tell_nothing_is_named_with_the_age_of_its_count() -> None:
    told = text_of(stack(*GOOD, **STATUS), models={"en-default": Load(11, 28)})
    assert "11/28 streams" in told
    assert "9/48 sessions" in told
    assert "as the pods tell now, but for gateway: as of 25 s ago, from the stack's status" in told


def test_pods_that_are_silent_are_told_beside_the_count_of_the_others() -> None:
    told = text_of(stack(*GOOD, **STATUS), gateway=Load(11, 96, silent=1), models={"en-default": Load(11, 28)})
    assert "11/96 sessions; silent pods: 1" in told


def test_without_any_count_nothing_is_said_of_its_age() -> None:
    assert "in use:" not in text_of(stack(*GOOD))


def test_sessions_on_pods_that_drain_are_shown_beside_those_pods_and_never_as_load() -> None:
    gateway = {"ready": 1, "desired": 1, "draining": 2, "sessions": 50, "drainingSessions": 40, "capacity": 48}
    told = text_of(stack(*GOOD, gateway=gateway, countsTime=stamp(seconds=25)))
    assert "10/48 sessions" in told
    assert "2 (40 sessions)" in told


def test_a_word_of_a_newer_operator_is_shown_as_it_is() -> None:
    told = text_of(stack(condition("Ready", "False", "MoonInTheWrongPhase"), license={"state": "Pending"}))
    assert "MoonInTheWrongPhase" in told
    assert "licence Pending" in told


def test_a_model_that_left_the_spec_is_shown_while_it_drains() -> None:
    entry = {"name": "old", "ready": 1, "desired": 0, "draining": 1, "streams": 2, "phase": "Draining"}
    assert "Draining" in text_of(stack(*GOOD, models=[entry]))


COUNTS = st.none() | st.integers(0, 99)


@given(st.lists(st.builds(Load, COUNTS, COUNTS, st.integers(0, 1)), max_size=5))
def test_sums_lose_nothing_and_there_is_none_where_nobody_counted(loads: list[Load]) -> None:
    found = summed(loads)
    assert (found is None) == all(load.active is None for load in loads)
    if found:
        assert found.active == sum(load.active or 0 for load in loads)
        assert found.silent == sum(load.silent for load in loads)


@given(
    st.recursive(
        st.none() | st.integers(-5, 500) | st.text(max_size=8),
        lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=4,
    )
)
def test_no_gateway_entry_is_too_strange_to_be_counted(entry: Any) -> None:
    view_of(stack(gateway={"ready": 1, "extra": entry}))

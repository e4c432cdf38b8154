"""The status as a whole: counts, phases, endpoint, times, events."""

from datetime import timedelta
from typing import Any

import pytest
from operator_factories import inputs, model, stack
from stack_model.api.status import ConditionType as Is
from stack_model.api.status import ModelPhase, Reason, StackStatus
from status_factories import NOW, condition, running, seen, status, stopped
from streaming_operator.facts import LicenseFact, PodsFact
from streaming_operator.status import Flip, flips, rejected_status

LATER = NOW + timedelta(minutes=5)
NO_LICENSE = inputs(license=LicenseFact("Missing"))


def sessions(active: int | None, capacity: int | None = 96) -> Any:
    return seen(gateway=running(active=active, capacity=capacity))


def test_every_condition_is_there_once_in_one_order() -> None:
    assert [one.type for one in status().conditions] == list(Is)


def test_the_status_tells_pods_sessions_and_streams() -> None:
    found = status(
        observed=seen(
            gateway=PodsFact(desired=3, ready=2, draining=1, active=10, draining_active=4, capacity=96),
            models={"en-default": running(active=12, capacity=56)},
            digests={"en-default": "ab12"},
            usage_backlog=7,
        )
    )
    gateway = found.gateway
    assert (gateway.ready, gateway.desired, gateway.draining) == (2, 3, 1)
    assert (gateway.sessions, gateway.capacity) == (14, 96)
    assert [(one.name, one.streams, one.capacity, one.digest) for one in found.models] == [
        ("en-default", 12, 56, "ab12")
    ]
    assert found.usage.backlog == 7


@pytest.mark.parametrize(
    ("pods", "phase"),
    [
        (running(2), ModelPhase.AVAILABLE),
        (running(2, ready=1), ModelPhase.DEGRADED),
        (stopped(), ModelPhase.UNAVAILABLE),
        (stopped(("Unschedulable", "")), ModelPhase.UNAVAILABLE),
        (stopped(("LoadingModel", "")), ModelPhase.LOADING),
        (stopped(("FetchingModel", "")), ModelPhase.FETCHING),
    ],
)
def test_a_model_has_the_phase_of_its_pool(pods: PodsFact, phase: ModelPhase) -> None:
    assert status(observed=seen(models={"en-default": pods})).models[0].phase is phase


def test_a_model_that_leaves_is_told_until_it_is_gone() -> None:
    left = tuple(stack(models=[model("old")]).spec.models)
    found = status(inputs=inputs(leaving=left), observed=seen(models={"en-default": running(), "old": running(1)}))
    assert [(one.name, one.phase) for one in found.models] == [
        ("en-default", ModelPhase.AVAILABLE),
        ("old", ModelPhase.DRAINING),
    ]


@pytest.mark.parametrize(
    ("expose", "endpoint"),
    [
        ({}, "ws://demo-gateway.speech.svc.cluster.local:8080/v3/ws"),
        (
            {"type": "HTTPRoute", "parentRefs": [{"name": "edge"}], "hostnames": ["*.a.example", "stt.a.example"]},
            "wss://stt.a.example/v3/ws",
        ),
        ({"type": "Ingress", "hostnames": ["a.example"]}, "ws://a.example/v3/ws"),
        ({"type": "Ingress", "hostnames": ["a.example"], "tls": {"secretName": "c"}}, "wss://a.example/v3/ws"),
        ({"type": "Ingress"}, "ws://demo-gateway.speech.svc.cluster.local:8080/v3/ws"),
    ],
)
def test_the_endpoint_is_where_clients_connect(expose: dict[str, Any], endpoint: str) -> None:
    assert status(stack(gateway={"expose": expose})).endpoint == endpoint


def test_a_state_of_the_licence_that_is_not_known_is_told_as_unknown() -> None:
    assert status(observed=seen(license_state=None)).license.state == "Unknown"
    assert status(observed=seen(license_state="SomethingNew")).license.state == "Unknown"


@pytest.mark.parametrize(
    ("told", "now", "seconds", "expected"),
    [
        (10, 20, 29, 10),
        (10, 20, 30, 20),
        (10, 11, 60, 10),
        (10, 12, 60, 12),
        (100, 91, 60, 100),
        (100, 89, 60, 89),
        (1, 0, 60, 0),
        (0, 1, 60, 1),
        (0, 1, 10, 0),
        (None, 5, 60, 5),
        (5, None, 60, None),
    ],
)
def test_counts_move_each_half_minute_at_most_and_only_when_they_say_something_new(
    told: int | None, now: int | None, seconds: int, expected: int | None
) -> None:
    before = status(observed=sessions(told))
    later = NOW + timedelta(seconds=seconds)
    after = status(observed=sessions(now), previous=before, now=later)
    assert after.gateway.sessions == expected
    assert after.counts_time == (later if expected == now and told != now else NOW)


def test_counts_that_creep_are_told_when_they_have_crept_far_enough() -> None:
    told = status(observed=sessions(100))
    for step in range(1, 12):
        told = status(observed=sessions(100 + step), previous=told, now=NOW + timedelta(minutes=step))
    assert told.gateway.sessions == 111


def test_pods_are_told_at_once() -> None:
    before = status()
    after = status(observed=seen(gateway=running(2, ready=1)), previous=before, now=NOW + timedelta(seconds=1))
    assert after.gateway.ready == 1


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    before = status(observed=seen(gateway=stopped()))
    after = status(observed=seen(gateway=stopped(("ErrImagePull", ""))), previous=before, now=LATER)
    found = condition(after, Is.GATEWAY_AVAILABLE)
    assert (found.reason, found.last_transition_time) == (Reason.IMAGE_UNAVAILABLE, NOW)
    flipped = status(previous=after, now=LATER)
    assert condition(flipped, Is.GATEWAY_AVAILABLE).last_transition_time == LATER


def test_the_generation_is_that_of_the_spec() -> None:
    found = stack()
    newer = found.model_copy(update={"metadata": found.metadata.model_copy(update={"generation": 7})})
    assert status(newer).observed_generation == 7
    assert condition(status(newer), Is.READY).observed_generation == 7


def test_what_is_stored_and_read_back_is_what_was_computed() -> None:
    computed = status(observed=sessions(5), now=NOW + timedelta(microseconds=123))
    assert StackStatus.model_validate(computed.to_object()) == computed


def test_a_spec_that_cannot_be_read_stops_nothing_and_says_which_field() -> None:
    before = status(observed=sessions(5))
    found = rejected_status("spec.models: at least one", 3, before, LATER)
    for type_ in (Is.ACCEPTED, Is.READY):
        refused = condition(found, type_)
        assert (refused.status, refused.reason, refused.last_transition_time) == ("False", Reason.INVALID_SPEC, LATER)
        assert "spec.models: at least one" in refused.message
    assert condition(found, Is.GATEWAY_AVAILABLE) == condition(before, Is.GATEWAY_AVAILABLE)
    assert (found.gateway, found.observed_generation) == (before.gateway, 3)
    assert rejected_status("spec.models: at least one", 3, found, LATER + timedelta(hours=1)) == found


def test_a_spec_that_was_never_read_has_two_conditions() -> None:
    assert [one.type for one in rejected_status("x", None, None, NOW).conditions] == [Is.ACCEPTED, Is.READY]


def test_the_first_look_tells_only_what_a_user_must_mend() -> None:
    assert flips(None, status()) == []
    assert flips(None, status(observed=seen(gateway=stopped(), models={}))) == []
    told = flips(None, status(inputs=NO_LICENSE))
    assert [(flip.type, flip.reason) for flip in told] == [("Warning", "SecretMissing")]


def test_a_condition_that_flips_is_told_once() -> None:
    before = status(observed=seen(gateway=stopped()))
    after = status(previous=before, now=LATER)
    assert {(flip.type, flip.reason) for flip in flips(before, after)} == {
        ("Normal", "Available"),
        ("Normal", "Ready"),
        ("Normal", "Complete"),
    }
    assert flips(after, status(previous=after, now=LATER + timedelta(hours=1))) == []


def test_what_made_a_stack_unready_is_told_once_and_not_twice() -> None:
    before = status()
    after = status(inputs=NO_LICENSE, previous=before, now=LATER)
    message = condition(after, Is.LICENSE_VALID).message
    assert flips(before, after) == [Flip("Warning", "SecretMissing", message)]


def test_another_reason_to_fail_is_told() -> None:
    before = status(inputs=NO_LICENSE)
    after = status(inputs=inputs(license=LicenseFact("Forged")), previous=before, now=LATER)
    assert [(flip.type, flip.reason) for flip in flips(before, after)] == [("Warning", "Forged")]


def test_the_time_that_a_model_loads_is_no_event() -> None:
    loading = seen(models={"en-default": stopped(("LoadingModel", "2026-05-04T11:58:20Z"))})
    before = status(observed=loading)
    after = status(observed=loading, previous=before, now=LATER)
    assert before != after
    assert flips(before, after) == []


def test_sessions_of_pods_that_drain_are_told_no_longer_than_the_pods() -> None:
    draining = seen(gateway=running(active=3, draining=1, draining_active=2))
    before = status(observed=draining)
    assert (before.gateway.sessions, before.gateway.draining_sessions) == (5, 2)
    at_once = status(observed=seen(gateway=running(active=3)), previous=before, now=NOW + timedelta(seconds=1))
    assert (at_once.gateway.sessions, at_once.gateway.draining_sessions) == (5, None)

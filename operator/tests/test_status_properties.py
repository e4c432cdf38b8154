"""What holds for the status of any stack, whatever is there."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from operator_factories import IMAGES
from stack_model.api import StreamingStack
from stack_model.api.status import ConditionType as Is
from stack_model.api.status import Reason, StackStatus
from stack_strategies import stacks
from streaming_operator.children.optional_apis import HTTP_ROUTE, SCALED_OBJECT
from streaming_operator.facts import ChildFailure, Inputs, LicenseFact, Observed, PodsFact
from streaming_operator.status import compute_status, flips, rejected_status

SERVING = (Is.ACCEPTED, Is.LICENSE_VALID, Is.MODELS_AVAILABLE, Is.GATEWAY_AVAILABLE)
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - with a zone
COUNTS = st.none() | st.integers(0, 10_000)
WORDS = st.text(max_size=40)
BLOCKED = st.sampled_from(
    ["Unschedulable", "ImagePullBackOff", "LoadingModel", "FetchingModel", "CrashLoopBackOff", "Quota", "Else"]
)
PODS = st.builds(
    PodsFact,
    desired=st.integers(0, 9),
    ready=st.integers(0, 9),
    draining=st.integers(0, 50),
    active=COUNTS,
    capacity=COUNTS,
    draining_active=COUNTS,
    blocked=st.lists(st.tuples(BLOCKED, WORDS | st.just("2026-01-01T00:00:00Z")), max_size=3).map(tuple),
    rolled=st.booleans(),
    loading_since=st.none() | TIMES,
)
LICENSES = st.builds(
    LicenseFact,
    state=st.sampled_from(["Missing", "Unreadable", "Forged", "NoPublicKeys", "Genuine"]),
    detail=WORDS,
    expires=st.none() | TIMES,
)
FAILURES = st.builds(
    ChildFailure,
    kind=st.just("Service"),
    name=WORDS,
    reason=st.sampled_from(["Refused", "NameConflict", "Immutable", "ApiMissing", "Quota"]),
    message=st.text(max_size=3000),
)


def cluster(left: StreamingStack) -> st.SearchStrategy[Inputs]:
    return st.builds(
        Inputs,
        images=st.just(IMAGES),
        license=LICENSES,
        apis=st.frozensets(st.sampled_from([HTTP_ROUTE, SCALED_OBJECT])),
        missing=st.frozensets(WORDS | st.just("Secret/license[license.jwt]"), max_size=4),
        storage_classes=st.none() | st.dictionaries(st.sampled_from(["fast", "slow"]), st.booleans()),
        leaving=st.sampled_from([(), tuple(left.spec.models)]),
        undelivered_proxies=st.integers(0, 9),
        scaler_address=st.none() | WORDS,
        gpu_nodes=st.none() | st.lists(st.dictionaries(st.just("nvidia.com/gpu.memory"), WORDS)).map(tuple),
    )


def observed(stack: StreamingStack) -> st.SearchStrategy[Observed]:
    return st.builds(
        Observed,
        gateway=PODS,
        license_proxy=PODS,
        load_balancer=PODS,
        model_store=PODS,
        sync_api=PODS,
        models=st.fixed_dictionaries({}, optional={model.name: PODS for model in stack.spec.models}),
        license_state=st.none() | st.sampled_from(["Ready", "Connected", "TrustBased", "Failed", "Else"]),
        trust_expiration=st.none() | TIMES,
        usage_backlog=COUNTS,
        digests=st.fixed_dictionaries({}, optional={model.name: WORDS for model in stack.spec.models}),
        fetch_errors=st.fixed_dictionaries({}, optional={model.name: WORDS for model in stack.spec.models}),
        failures=st.lists(FAILURES, max_size=2).map(tuple),
        scaling_blocked=st.lists(st.tuples(WORDS, WORDS), max_size=2).map(tuple),
        route_accepted=st.none() | st.tuples(st.booleans(), WORDS),
        gateway_held=st.booleans(),
    )


@st.composite
def scenes(draw: st.DrawFn) -> tuple[StreamingStack, Inputs, Observed]:
    stack = draw(stacks())
    return stack, draw(cluster(draw(stacks()))), draw(observed(stack))


def status_of(scene: tuple[StreamingStack, Inputs, Observed], previous: StackStatus | None, now: datetime) -> Any:
    return compute_status(*scene, previous, now)


def by_type(status: StackStatus) -> dict[Is, Any]:
    return {condition.type: condition for condition in status.conditions}


def test_the_scenes_cover_every_field_of_the_facts() -> None:
    """A new fact that changes the status must be drawn here too."""
    assert {field.name for field in fields(Observed)} == {
        "gateway", "license_proxy", "load_balancer", "model_store", "models", "license_state", "trust_expiration",
        "usage_backlog", "digests", "fetch_errors", "failures", "scaling_blocked", "route_accepted", "gateway_held",
        "sync_api",
    }  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(scenes(), TIMES)
def test_any_scene_has_a_status_that_is_the_same_when_it_is_computed_again(scene: Any, now: datetime) -> None:
    first = status_of(scene, None, now)
    stored = StackStatus.model_validate(first.to_object())
    assert stored == first
    assert status_of(scene, stored, now) == first
    assert flips(stored, first) == []


@settings(max_examples=150, deadline=None)
@given(scenes(), TIMES)
def test_ready_says_that_everything_that_serves_is_true(scene: Any, now: datetime) -> None:
    found = by_type(status_of(scene, None, now))
    assert list(found) == list(Is)
    ready = found[Is.READY]
    serving = [found[type_] for type_ in SERVING]
    assert (ready.status == "True") == all(one.status == "True" for one in serving)
    if ready.status == "True":
        expected = Reason.READY if found[Is.SCALING_SIGNAL].status == "True" else Reason.READY_NOT_SCALING
        assert ready.reason is expected
    else:
        assert ready.reason is next(one.reason for one in serving if one.status != "True")
    for one in found.values():
        assert one.message
        assert len(one.message) <= 1024


@settings(max_examples=100, deadline=None)
@given(scenes(), st.data(), st.lists(st.integers(-100, 4000), min_size=1, max_size=5), TIMES)
def test_times_of_transitions_never_go_back_and_move_only_with_the_status(
    scene: Any, data: st.DataObject, steps: list[int], begin: datetime
) -> None:
    stack, facts, _ = scene
    now, told = begin, status_of(scene, None, begin)
    for step in steps:
        now += timedelta(seconds=step)
        following = compute_status(stack, facts, data.draw(observed(stack)), told, now)
        for type_, condition in by_type(following).items():
            before = by_type(told)[type_]
            if condition.status == before.status:
                assert condition.last_transition_time == before.last_transition_time
            else:
                assert condition.last_transition_time >= before.last_transition_time
        told = following


@settings(max_examples=50, deadline=None)
@given(scenes(), TIMES, st.text(max_size=2000))
def test_a_rejected_spec_keeps_what_was_told_of_what_runs(scene: Any, now: datetime, problem: str) -> None:
    before = status_of(scene, None, now)
    after = rejected_status(problem, 2, before, now)
    assert after.models == before.models
    assert {type_ for type_, one in by_type(after).items() if one != by_type(before)[type_]} <= {Is.ACCEPTED, Is.READY}
    assert rejected_status(problem, 2, after, now + timedelta(days=1)) == after

"""A user's story, last chapter: stacks side by side; one is made anew under its name, and in the end they go."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from listener import ENGLISH, spoken
from live_namespace import LiveNamespace, until
from live_session import hear_side_by_side, staying_session, uncut_session
from operated_stack import OperatedStack, is_gone, small, through_gateway
from plain_stack import STARTUP_SECONDS, is_served

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(600)]
FOLLOWED_SECONDS = 60.0
# The operator gives the gateways of a stack that goes half a minute.
ENDED_SECONDS = 90.0
GOING_AWAY = 1001


@pytest.fixture(scope="module")
def desk(speech: OperatedStack, space: LiveNamespace, images: Mapping[str, str]) -> OperatedStack:
    """A second stack in the namespace of the first, with the same licence Secret."""
    stack = created(OperatedStack(space, "desk"), images)
    await_served(stack)
    return stack


@pytest.fixture(scope="module")
def namesake(speech: OperatedStack, neighbour: LiveNamespace, images: Mapping[str, str]) -> OperatedStack:
    """A stack of the same name in another namespace, where the same licence lies."""
    stack = created(OperatedStack(neighbour, speech.name), images)
    await_served(stack)
    return stack


def created(stack: OperatedStack, images: Mapping[str, str]) -> OperatedStack:
    stack.create(small(images, through_gateway(stack)))
    return stack


def await_served(stack: OperatedStack) -> None:
    stack.await_condition("Ready", "True", STARTUP_SECONDS)
    until(f"{stack.host} is served", lambda: is_served(stack.namespace.door, stack.host), FOLLOWED_SECONDS)


def uids(stack: OperatedStack) -> set[str]:
    return {pod.metadata.uid for pod in stack.everything("gateway")}


def test_two_stacks_in_one_namespace_and_one_in_another_hear_side_by_side_under_one_licence(
    speech: OperatedStack, desk: OperatedStack, namesake: OperatedStack, recordings: Path
) -> None:
    hear_side_by_side([(stack, ENGLISH) for stack in (speech, desk, namesake)], recordings)
    for stack, other in ((speech, desk), (desk, namesake), (namesake, speech)):
        refused = spoken(stack.host, other.first_key(), bytes(3200), speed=1.0)
        assert refused.errors, "each has keys of its own"


def test_a_stack_is_made_anew_under_its_name_while_the_old_pods_still_end(
    speech: OperatedStack,
    desk: OperatedStack,
    namesake: OperatedStack,
    images: Mapping[str, str],
    recordings: Path,
) -> None:
    old, old_key = uids(desk), desk.first_key()
    with (
        uncut_session(speech, recordings),
        uncut_session(namesake, recordings),
        staying_session(desk) as session,
    ):
        desk.delete()
        until("the object is gone", lambda: is_gone(desk), FOLLOWED_SECONDS)
        created(desk, images)
        until("the new one has a gateway", lambda: uids(desk) - old, FOLLOWED_SECONDS, otherwise=desk.tell)
        assert old & uids(desk), "the old gateway still ends"
        assert session.result(timeout=ENDED_SECONDS) == GOING_AWAY
    await_served(desk)
    until("the old gateway has ended", lambda: not old & uids(desk), ENDED_SECONDS)
    assert desk.first_key() != old_key
    hear_side_by_side([(desk, ENGLISH)], recordings)


def test_a_stack_that_is_deleted_in_the_foreground_is_held_up_by_no_session_and_leaves_the_claims_of_its_usage(
    speech: OperatedStack, desk: OperatedStack, recordings: Path
) -> None:
    space = speech.namespace
    owned = {child.partition("/")[0] for child in speech.children()}
    assert owned >= {"Secret", "Pod", "NetworkPolicy", "HorizontalPodAutoscaler", "PodDisruptionBudget"}
    assert owned & {"HTTPRoute", "Ingress"}
    with uncut_session(desk, recordings), staying_session(speech) as session:
        speech.delete("Foreground")
        until("the object is gone", lambda: is_gone(speech), ENDED_SECONDS, otherwise=speech.tell)
        assert session.result(timeout=ENDED_SECONDS) == GOING_AWAY
    until(
        "what it owned is gone", lambda: not speech.children(), ENDED_SECONDS, otherwise=lambda: str(speech.children())
    )

    def claims() -> set[str]:
        found = space.core.list_namespaced_persistent_volume_claim(space.name).items
        return {claim.metadata.name for claim in found if desk.name not in claim.metadata.name}

    until("the claim of the models is gone", lambda: f"{speech.name}-model-store" not in claims(), FOLLOWED_SECONDS)
    assert claims() == {f"state-{speech.name}-license-proxy-{ordinal}" for ordinal in range(2)}

"""When the gateway's rollout waits, and how large what has to be made anew begins."""

import pytest
from sighted import deployment
from stack_model.api import StackStatus
from streaming_operator.rollouts import must_wait
from streaming_operator.seen import HOLD_MANAGER, Seen
from streaming_operator.sizes import last_sizes


def gateway(*, updated: int = 4, held: bool = False) -> Seen:
    """A Deployment of four pods, so many of them new."""
    entry = {"manager": HOLD_MANAGER, "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}}
    return deployment(
        spec={"replicas": 4},
        status={"observedGeneration": 2, "replicas": 4, "updatedReplicas": updated},
        metadata={"generation": 2, "managedFields": [entry] if held else []},
    )


@pytest.mark.parametrize(
    ("seen", "draining", "waits"),
    [
        (gateway(updated=2), 3, True),
        (gateway(updated=2), 2, False),
        (gateway(updated=2, held=True), 3, True),
        (gateway(updated=2, held=True), 2, False),
        # No rollout any more, or none at all: a scale-in.
        (gateway(held=True), 3, False),
        (gateway(), 3, False),
        (None, 3, False),
    ],
)
def test_a_rollout_under_way_waits_while_more_than_the_most_drain(
    seen: Seen | None, draining: int, waits: bool
) -> None:
    assert must_wait(seen, draining, most=2) is waits


def test_a_change_that_its_controller_has_not_seen_yet_is_no_rollout() -> None:
    """Most often it is a size. One that rolls pods is not even written while too many drain."""
    status = {"observedGeneration": 1, "replicas": 4, "updatedReplicas": 4}
    assert not must_wait(deployment(status=status, metadata={"generation": 2}), 3, most=2)


def test_sizes_are_remembered_by_the_names_of_deployments() -> None:
    status = StackStatus.model_validate({"gateway": {"desired": 5}, "models": [{"name": "en", "desired": 3}]})
    assert last_sizes("demo", status) == {"demo-gateway": 5, "demo-asr-en": 3}
    assert last_sizes("demo", None) == {}

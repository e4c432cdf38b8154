"""A node that is cut off, and comes back."""

import concurrent.futures
import threading
from pathlib import Path

import pytest
from e2e_cluster.door import Door
from kubernetes.client import V1Node
from listener import MOST_WRONG, recording, spoken, wrong
from live_namespace import LiveNamespace, until
from plain_stack import RECOGNISERS, PlainStack, streams

pytestmark = pytest.mark.kubernetes
NOTICED_SECONDS = 90.0


def test_sessions_live_on_when_a_node_with_their_recogniser_is_cut_off_and_the_node_comes_back(
    door: Door, namespace: LiveNamespace, stack: PlainStack, recordings: Path
) -> None:
    if door.cluster != "local":
        pytest.skip(f"not run: nodes of CLUSTER={door.cluster} cannot be cut off")
    lost = next(pod for pod in namespace.ready_pods(RECOGNISERS) if pod.spec.node_name != stack.staying_node)
    pcm, said = recording(recordings)
    # As many sessions as recognisers, balanced by connections: one of them is at the node that goes.
    started = [threading.Event(), threading.Event()]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        sessions = [
            pool.submit(spoken, stack.hosts["route"], stack.key, pcm, speed=1.0, began=began) for began in started
        ]
        assert all(began.wait(30) for began in started)
        until("the recogniser of the node hears one of them", lambda: streams(namespace, lost) == 1, 10)
        try:
            door.cut(lost.spec.node_name)
            heard = [session.result(timeout=150) for session in sessions]
            until("the node is NotReady", lambda: not is_ready(namespace, lost.spec.node_name), NOTICED_SECONDS)
            until("its recogniser is no longer served", lambda: served(namespace) == 1, NOTICED_SECONDS)
        finally:
            door.restore(lost.spec.node_name)
    assert [listener.errors for listener in heard] == [[], []]
    assert max(wrong(listener, said) for listener in heard) <= MOST_WRONG
    until("the node is Ready again", lambda: is_ready(namespace, lost.spec.node_name), NOTICED_SECONDS)
    until("both recognisers are served again", lambda: served(namespace) == 2, NOTICED_SECONDS)


def is_ready(namespace: LiveNamespace, name: str) -> bool:
    """Whether the node's Ready condition holds."""
    node: V1Node = namespace.core.read_node(name)
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions or [])


def served(namespace: LiveNamespace) -> int:
    """How many recognisers the headless service names."""
    return sum(
        bool(endpoint.conditions and endpoint.conditions.ready)
        for slice_ in namespace.endpoint_slices(RECOGNISERS)
        for endpoint in slice_.endpoints or []
    )

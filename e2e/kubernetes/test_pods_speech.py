"""Real speech through the ingress: the whole way from the official SDK to Triton in pods, and back."""

import concurrent.futures
from pathlib import Path

import pytest
from kubernetes.client.exceptions import ApiException
from listener import MOST_WRONG, normal, recording, spoken, wrong
from live_namespace import LiveNamespace
from plain_stack import PlainStack

pytestmark = pytest.mark.kubernetes


def test_sessions_through_the_https_listener_and_through_the_ingress_hear_the_same_words(
    stack: PlainStack, recordings: Path
) -> None:
    pcm, said = recording(recordings)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        sessions = {kind: pool.submit(spoken, host, stack.key, pcm, speed=1.0) for kind, host in stack.hosts.items()}
        heard = {kind: session.result(timeout=180) for kind, session in sessions.items()}
    assert {kind: listener.errors for kind, listener in heard.items()} == {"route": [], "ingress": []}
    assert all(listener.terminated.is_set() for listener in heard.values())
    assert max(wrong(listener, said) for listener in heard.values()) <= MOST_WRONG
    assert normal(heard["route"].transcript) == normal(heard["ingress"].transcript)


def test_a_wrong_key_is_refused_at_the_ingress_too(stack: PlainStack) -> None:
    refused = spoken(stack.hosts["route"], "not-the-key", bytes(3200), speed=1.0)
    assert not refused.began.is_set()
    assert refused.errors


def test_the_namespace_takes_no_pod_that_the_restricted_level_forbids(
    namespace: LiveNamespace, stack: PlainStack
) -> None:
    loose = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "loose"},
        "spec": {"containers": [{"name": "loose", "image": "any", "securityContext": {"runAsUser": 0}}]},
    }
    with pytest.raises(ApiException) as refused:
        namespace.core.create_namespaced_pod(namespace.name, loose)
    assert "restricted" in str(refused.value.body)
    assert len(namespace.ready_pods("gateway")) == 1  # while the stack's own pods run in it


def test_the_recognisers_run_on_two_nodes(namespace: LiveNamespace, stack: PlainStack) -> None:
    assert len({pod.spec.node_name for pod in namespace.ready_pods("asr-en")}) == 2

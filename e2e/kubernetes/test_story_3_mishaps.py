"""A user's story, third chapter: what is broken by hand, or by bad luck, is mended."""

from pathlib import Path

import pytest
from kubernetes import client
from live_namespace import LiveNamespace, until
from live_session import uncut_session
from operated_stack import OperatedStack
from plain_stack import STARTUP_SECONDS, streams

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(600)]
MENDED_SECONDS = 120.0
HEARD_SECONDS = 10.0


def test_a_session_goes_on_when_its_recogniser_is_deleted(speech: OperatedStack, recordings: Path) -> None:
    with uncut_session(speech, recordings):
        before = {pod.metadata.name: pod for pod in speech.ready_pods("asr", "en-default")}

        def hearing() -> list[str]:
            return [name for name, pod in before.items() if streams(speech.namespace, pod)]

        # `Begin` waits for no recogniser: the stream follows it.
        (victim,) = until("a recogniser hears the session", hearing, HEARD_SECONDS, otherwise=speech.tell)
        speech.namespace.core.delete_namespaced_pod(victim, speech.namespace.name)
    until(
        "there are as many again",
        lambda: len(speech.ready_pods("asr", "en-default")) == len(before),
        STARTUP_SECONDS,
        otherwise=speech.tell,
    )


def test_a_child_that_somebody_deletes_comes_back(speech: OperatedStack) -> None:
    core, space, name = speech.namespace.core, speech.namespace.name, f"{speech.name}-gateway"
    before = core.read_namespaced_service(name, space).metadata.uid
    core.delete_namespaced_service(name, space)

    def is_back() -> bool:
        services = {service.metadata.name: service for service in core.list_namespaced_service(space).items}
        return name in services and services[name].metadata.uid != before

    until("the gateway's Service is there again", is_back, MENDED_SECONDS)


def test_an_operator_that_is_killed_cuts_nothing_and_its_successor_mends_what_fell_meanwhile(
    speech: OperatedStack, operator: LiveNamespace, recordings: Path
) -> None:
    walls = client.NetworkingV1Api(speech.namespace.api)

    def names() -> set[str]:
        selector = f"app.kubernetes.io/instance={speech.name}"
        found = walls.list_namespaced_network_policy(speech.namespace.name, label_selector=selector).items
        return {policy.metadata.name for policy in found}

    before = names()
    assert before
    with uncut_session(speech, recordings):
        pod = operator.pods("operator")[0].metadata.name
        operator.core.delete_namespaced_pod(pod, operator.name, grace_period_seconds=0)
        for name in before:
            walls.delete_namespaced_network_policy(name, speech.namespace.name)
        until("the walls stand again", lambda: names() == before, MENDED_SECONDS)
    operator.await_ready("operator")
    speech.await_condition("Ready", "True", MENDED_SECONDS)

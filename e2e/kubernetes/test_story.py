"""A user's story with the operator: a stack is described, speaks, is mended and goes."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from e2e_cluster.door import Door
from kubernetes.client.exceptions import ApiException
from listener import MOST_WRONG, recording, resolving, spoken, wrong
from live_namespace import LiveNamespace, live_namespace, until
from operated_stack import (
    OperatedStack,
    example,
    install,
    is_gone,
    issue_license,
    issued,
    mirror,
    through_gateway,
    through_ingress,
)
from plain_stack import STARTUP_SECONDS, is_served, streams
from sessions import uncut_session

# The first of them waits until the stack is there.
pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]
NAME = "speech"
FOLLOWED_SECONDS = 60.0
# A short rollout on a busy machine.
ROLLED_SECONDS = 120.0


@pytest.fixture(scope="module")
def operator(door: Door) -> Iterator[LiveNamespace]:
    """The operator's namespace."""
    with live_namespace(door, "operator") as made:
        yield made


@pytest.fixture(scope="module")
def license_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The issuer's keys."""
    return tmp_path_factory.mktemp("license")


@pytest.fixture(scope="module")
def space(
    door: Door, operator: LiveNamespace, images: Mapping[str, str], license_folder: Path
) -> Iterator[LiveNamespace]:
    """A namespace that the operator watches, with a licence in it."""
    with live_namespace(door, "story") as made:
        install(operator, made, images)
        issue_license(made, license_folder)
        yield made


@pytest.fixture(scope="module")
def description(space: LiveNamespace, images: Mapping[str, str]) -> dict[str, Any]:
    """The spec of the stack."""
    spec = example("universal", mirror(space, images))
    spec["gateway"]["expose"] = through_gateway(OperatedStack(space, NAME))
    return spec


@pytest.fixture(scope="module")
def speech(door: Door, space: LiveNamespace, description: dict[str, Any]) -> Iterator[OperatedStack]:
    """A stack that is Ready, by its name at the Gateway."""
    stack = OperatedStack(space, NAME)
    stack.create(description)
    stack.await_condition("Ready", "True", STARTUP_SECONDS)
    until(f"{stack.host} is served", lambda: is_served(door, stack.host), FOLLOWED_SECONDS)
    with resolving(door.domain, door.ingress_address, str(door.ca_file)):
        yield stack


def test_a_described_stack_becomes_ready_and_hears_real_speech_through_the_gateway(
    speech: OperatedStack, recordings: Path
) -> None:
    pcm, said = recording(recordings)
    heard = spoken(speech.host, speech.first_key(), pcm, speed=1.0)
    assert heard.errors == []
    assert heard.terminated.is_set()
    assert wrong(heard, said) <= MOST_WRONG


def test_a_session_goes_on_when_its_recogniser_is_deleted(speech: OperatedStack, recordings: Path) -> None:
    with uncut_session(speech, recordings):
        before = {pod.metadata.name: pod for pod in speech.ready_pods("asr")}
        assert len(before) == 2
        hearing = [name for name, pod in before.items() if streams(speech.namespace, pod)]
        assert len(hearing) == 1
        speech.namespace.core.delete_namespaced_pod(hearing[0], speech.namespace.name)
    until("there are two again", lambda: len(speech.ready_pods("asr")) == 2, ROLLED_SECONDS, otherwise=speech.tell)


def test_a_rollout_of_the_gateway_cuts_no_session(speech: OperatedStack, recordings: Path) -> None:
    before = {pod.metadata.name for pod in speech.ready_pods("gateway")}
    with uncut_session(speech, recordings) as session:
        speech.patch({"gateway": {"sessions": {"maxPerPod": 47}}})

        def is_replaced() -> bool:
            return not before & {pod.metadata.name for pod in speech.pods("gateway")}

        until("a new gateway serves, the old one drains", is_replaced, ROLLED_SECONDS, otherwise=speech.tell)
        assert not session.terminated.is_set(), "the recording was too short for this machine"
    speech.await_condition("Ready", "True", FOLLOWED_SECONDS)


def test_a_licence_that_goes_is_told_and_cuts_no_session_and_one_that_comes_is_taken(
    speech: OperatedStack, recordings: Path, license_folder: Path, tmp_path: Path
) -> None:
    space = speech.namespace
    with uncut_session(speech, recordings):
        space.delete("v1", "Secret", "license")
        missing = speech.await_condition("LicenseValid", "False", FOLLOWED_SECONDS, "SecretMissing")
        assert f"{space.name}/license" in missing["message"]
        space.secret("license", {"license.jwt": issued(tmp_path)})
        speech.await_condition("LicenseValid", "False", FOLLOWED_SECONDS, "Forged")
        space.secret("license", {"license.jwt": issued(license_folder)})
        speech.await_condition("LicenseValid", "True", FOLLOWED_SECONDS)
    speech.await_condition("Ready", "True", ROLLED_SECONDS)


def test_a_child_that_somebody_deletes_comes_back_even_where_the_operator_is_killed(
    speech: OperatedStack, operator: LiveNamespace
) -> None:
    space = speech.namespace
    name = f"{speech.name}-gateway"

    def uids() -> set[str]:
        services = space.core.list_namespaced_service(space.name).items
        return {service.metadata.uid for service in services if service.metadata.name == name}

    seen: set[str] = set()
    for killed in (False, True):
        seen.update(uids())
        if killed:
            pod = operator.pods("operator")[0].metadata.name
            operator.core.delete_namespaced_pod(pod, operator.name, grace_period_seconds=0)
        space.core.delete_namespaced_service(name, space.name)
        until("the gateway's Service is there again", lambda: uids() - seen, ROLLED_SECONDS)
    operator.await_ready("operator")


def test_an_edit_moves_the_stack_from_the_gateway_to_an_ingress(
    door: Door, speech: OperatedStack, recordings: Path
) -> None:
    host = f"ingress-{speech.namespace.name}.{door.domain}"
    speech.patch({"gateway": {"expose": through_ingress(speech, host)}})
    until(f"{host} is served", lambda: is_served(door, host), FOLLOWED_SECONDS, otherwise=speech.tell)
    pcm, _ = recording(recordings)
    heard = spoken(host, speech.first_key(), pcm[: len(pcm) // 4], speed=1.0)
    assert heard.errors == []
    assert heard.transcript
    until("the route is gone", lambda: not is_served(door, speech.host), FOLLOWED_SECONDS)


def test_what_makes_no_sense_is_refused_and_the_field_is_named(speech: OperatedStack) -> None:
    with pytest.raises(ApiException) as refused:
        speech.patch({"gateway": {"sessions": {"targetPerPod": 1000}}})
    assert refused.value.status == 422
    assert "gateway.sessions.targetPerPod" in str(refused.value.body)


def test_a_stack_is_made_anew_under_its_name_while_the_old_pods_end(
    door: Door, speech: OperatedStack, description: dict[str, Any], recordings: Path
) -> None:
    old_key = speech.first_key()
    speech.delete()
    until("the stack is gone", lambda: is_gone(speech), FOLLOWED_SECONDS)
    speech.create(description)
    speech.await_condition("Ready", "True", STARTUP_SECONDS)
    until(f"{speech.host} is served", lambda: is_served(door, speech.host), FOLLOWED_SECONDS)
    pcm, _ = recording(recordings)
    heard = spoken(speech.host, speech.first_key(), pcm[: len(pcm) // 4], speed=1.0)
    assert heard.errors == []
    assert heard.transcript
    assert speech.first_key() != old_key


def test_a_deleted_stack_leaves_nothing_but_the_claims_of_its_usage(speech: OperatedStack) -> None:
    space = speech.namespace
    speech.delete()
    until("the stack is gone", lambda: is_gone(speech), FOLLOWED_SECONDS)
    until(
        "its children and pods are gone",
        lambda: not speech.children(),
        STARTUP_SECONDS,
        otherwise=lambda: str(speech.children()),
    )

    def claims() -> list[str]:
        found = space.core.list_namespaced_persistent_volume_claim(space.name).items
        return [claim.metadata.name for claim in found]

    until("the claim of the models is gone", lambda: not any("model-store" in claim for claim in claims()), 60)
    assert len(claims()) == 1
    assert "license-proxy" in claims()[0]

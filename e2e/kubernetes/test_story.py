"""A user's story with the operator: a stack is described, speaks, is mended and goes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from e2e_cluster.door import Door
from listener import MOST_WRONG, recording, resolving, spoken, wrong
from live_namespace import LiveNamespace, live_namespace, until
from operated_stack import OperatedStack, example, install, is_gone, issue_license, through_gateway
from plain_stack import STARTUP_SECONDS, is_served

# The first of them waits until the stack is there.
pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]
FOLLOWED_SECONDS = 60.0


@pytest.fixture(scope="module")
def operator(door: Door) -> Iterator[LiveNamespace]:
    """The operator's namespace."""
    with live_namespace(door, "operator") as made:
        yield made


@pytest.fixture(scope="module")
def space(
    door: Door, operator: LiveNamespace, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveNamespace]:
    """A namespace that the operator watches, with a licence in it."""
    with live_namespace(door, "story") as made:
        install(operator, made, images)
        issue_license(made, tmp_path_factory.mktemp("license"))
        yield made


@pytest.fixture(scope="module")
def speech(door: Door, space: LiveNamespace, images: Mapping[str, str]) -> Iterator[OperatedStack]:
    """A stack that is Ready, by its name at the Gateway."""
    stack = OperatedStack(space, "speech")
    spec = example("universal", images)
    spec["gateway"]["expose"] = through_gateway(stack)
    stack.create(spec)
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


def test_a_child_that_somebody_deletes_comes_back(speech: OperatedStack) -> None:
    space = speech.namespace
    name = f"{speech.name}-gateway"

    def uids() -> list[str]:
        services = space.core.list_namespaced_service(space.name).items
        return [service.metadata.uid for service in services if service.metadata.name == name]

    before = uids()
    space.core.delete_namespaced_service(name, space.name)
    until("the gateway's Service is there again", lambda: uids() not in ([], before), FOLLOWED_SECONDS)
    speech.await_condition("Ready", "True", FOLLOWED_SECONDS)


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
    claims = {claim.metadata.name for claim in space.core.list_namespaced_persistent_volume_claim(space.name).items}
    assert all("license-proxy" in claim for claim in claims)

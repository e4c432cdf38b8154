"""The chart by a real helm: installed, tested, upgraded, rolled back, taken away, installed again."""

import concurrent.futures
import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from chart_release import RELEASE, Release, small_spec
from e2e_cluster.door import Door
from kubernetes import client
from listener import MOST_WRONG, Listener, recording, resolving, spoken, wrong
from live_namespace import live_namespace, until
from operated_stack import OperatedStack, issue_license, through_gateway
from plain_stack import STARTUP_SECONDS, is_served

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]
STACK = "desk"
CRD = "streamingstacks.streamingstack.dev"


@pytest.fixture(scope="module")
def release(door: Door, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Nothing is installed yet; a licence is there."""
    folder = tmp_path_factory.mktemp("chart")
    registry, _, _ = images["IMAGE_GATEWAY"].rpartition("/")
    with live_namespace(door, "chart") as space:
        spec = small_spec(through_gateway(OperatedStack(space, STACK)))
        values = {
            "scope": "namespaces",
            "images": {"registry": registry},
            "stack": {"enabled": True, "name": STACK, "spec": spec},
        }
        issue_license(space, folder)
        made = Release(space, folder, values)
        yield made
        # What is not in the namespace ends with the release alone.
        made.helm("uninstall", RELEASE, "--ignore-not-found")


def test_an_installed_chart_hears_and_what_it_says_next_is_true(release: Release) -> None:
    notes = release.put("install")
    assert f"{STACK}-first-key" in notes
    stack = OperatedStack(release.space, STACK)
    stack.await_condition("Ready", "True", STARTUP_SECONDS)
    assert stack.first_key()
    release.helm("test", RELEASE, "--timeout=5m")


def test_an_upgrade_cuts_no_session_and_a_rollback_takes_it_back(release: Release, recordings: Path) -> None:
    stack = OperatedStack(release.space, STACK)
    gateways = {pod.metadata.uid for pod in stack.ready_pods("gateway")}
    before = _definition_version(release)
    with _uncut_session(stack, recordings):
        release.put("upgrade", operator={"logLevel": "DEBUG"})
    assert release.level() == "DEBUG"
    assert _definition_version(release) >= before, "the hook wrote the definition"
    assert not [role for role in _cluster_roles(release) if release.space.name in role], "the hook's rights ended"
    release.helm("rollback", RELEASE, "--wait", "--timeout=5m")
    assert release.level() == "INFO"
    stack.await_condition("Ready", "True", STARTUP_SECONDS)
    assert {pod.metadata.uid for pod in stack.ready_pods("gateway")} == gateways


def test_taken_away_the_definition_and_the_claims_stay_and_it_can_come_again(release: Release) -> None:
    stack, space = OperatedStack(release.space, STACK), release.space
    release.helm("uninstall", RELEASE, "--wait", "--timeout=5m")
    assert _definition_version(release)
    until("the stack's workloads are gone", lambda: not space.apps.list_namespaced_deployment(space.name).items, 90)
    claims = space.core.list_namespaced_persistent_volume_claim(
        space.name, label_selector="app.kubernetes.io/component=license-proxy"
    ).items
    assert claims, "claims of the licence proxies stay"
    release.put("install")
    stack.await_condition("Ready", "True", STARTUP_SECONDS)


@contextlib.contextmanager
def _uncut_session(stack: OperatedStack, recordings: Path) -> Iterator[None]:
    """A session through the Gateway that has begun; it hears everything, whatever happens meanwhile."""
    door = stack.namespace.door
    until(f"{stack.host} is served", lambda: is_served(door, stack.host), STARTUP_SECONDS)
    pcm, said = recording(recordings)
    listener = Listener()
    with (
        resolving(door.domain, door.ingress_address, str(door.ca_file)),
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        session = pool.submit(spoken, stack.host, stack.first_key(), pcm, speed=1.0, listener=listener)
        assert listener.began.wait(STARTUP_SECONDS)
        yield
        session.result(timeout=180)
    assert listener.errors == []
    assert listener.terminated.is_set()
    assert wrong(listener, said) <= MOST_WRONG


def _definition_version(release: Release) -> int:
    found = client.ApiextensionsV1Api(release.space.api).read_custom_resource_definition(CRD)
    return int(found.metadata.resource_version)


def _cluster_roles(release: Release) -> list[str]:
    listed = client.RbacAuthorizationV1Api(release.space.api).list_cluster_role().items
    return [role.metadata.name for role in listed]

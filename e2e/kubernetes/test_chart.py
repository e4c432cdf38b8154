"""The chart by a real helm: installed, tested, upgraded, rolled back, taken away, installed again for the cluster."""

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from chart_release import OPERATOR, RELEASE, STACK, Release
from e2e_cluster.door import Door
from kubernetes import client
from listener import resolving
from live_namespace import live_namespace, until
from live_session import hear_side_by_side, uncut_session
from operated_stack import OperatedStack, issue_license, small, through_gateway
from plain_stack import STARTUP_SECONDS

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]
CRD = "streamingstacks.streamingstack.dev"
ROLLED_SECONDS = 120.0


@pytest.fixture(scope="module")
def release(door: Door, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Release]:
    """Nothing is installed yet; a licence is there."""
    folder = tmp_path_factory.mktemp("chart")
    registry, _, _ = images["IMAGE_GATEWAY"].rpartition("/")
    with live_namespace(door, "chart") as space:
        spec = small(images, through_gateway(OperatedStack(space, STACK)))
        values = {
            "scope": "namespaces",
            "images": {"registry": registry},
            "stack": {"enabled": True, "name": STACK, "spec": spec},
        }
        issue_license(space, folder)
        made = Release(space, folder, values)
        with resolving(door.domain, door.ingress_address, str(door.ca_file)):
            yield made
        # What is not in the namespace ends with the release alone.
        made.helm("uninstall", RELEASE, "--ignore-not-found")


@pytest.fixture
def installed(release: Release) -> None:
    """As the test before left it; one that runs alone installs it."""
    if not release.is_installed():
        release.put("install")
    release.await_heard_of()


@pytest.fixture
def for_the_cluster(release: Release) -> None:
    """The same, with an operator that looks after every namespace."""
    if not release.is_installed():
        release.put("install", scope="cluster")
    elif release.operator_setting("WATCH_NAMESPACES"):
        release.put("upgrade", scope="cluster")
    release.await_heard_of()


def test_an_installed_chart_hears_and_what_it_says_next_is_true(release: Release) -> None:
    notes = release.put("install")
    assert f"{STACK}-first-key" in notes
    release.await_heard_of()
    assert release.stack.first_key()
    assert release.operator_setting("WATCH_NAMESPACES") == release.space.name
    assert f"{OPERATOR}-{release.space.name}" in release.roles()
    assert not release.cluster_roles()
    release.helm("test", RELEASE, "--timeout=5m")


@pytest.mark.usefixtures("installed")
def test_an_upgrade_mends_the_definition_and_rolls_gateways_without_a_cut_and_a_rollback_takes_it_back(
    release: Release, recordings: Path
) -> None:
    stack = release.stack
    definition, before = _definition(release), _gateways(stack)
    _spoil(release)
    assert _definition(release) != definition
    spec = release.values["stack"]["spec"]
    gateway = {**spec["gateway"], "sessions": {"maxPerPod": 47}}
    changed = {**release.values["stack"], "spec": {**spec, "gateway": gateway}}
    with uncut_session(stack, recordings, times=3) as session:
        release.put("upgrade", operator={"logLevel": "DEBUG"}, stack=changed)
        until("another gateway serves", lambda: _is_replaced(stack, before), ROLLED_SECONDS, otherwise=stack.tell)
        assert not session.terminated.is_set(), "the recording was too short for this machine"
    assert _definition(release) == definition, "the hook brought it back"
    assert not release.cluster_roles(), "the hook's rights ended"
    assert release.operator_setting("LOGGING_LEVEL") == "DEBUG"
    upgraded = _gateways(stack)
    release.helm("rollback", RELEASE, "--wait", "--timeout=5m")
    assert release.operator_setting("LOGGING_LEVEL") == "INFO"
    until("it rolls back", lambda: _is_replaced(stack, upgraded), ROLLED_SECONDS, otherwise=stack.tell)
    stack.await_condition("Ready", "True", STARTUP_SECONDS)


@pytest.mark.usefixtures("installed")
def test_taken_away_the_definition_and_claims_with_usage_stay_and_the_notes_name_them(
    release: Release, recordings: Path
) -> None:
    hear_side_by_side([(release.stack, "universal-streaming-english")], recordings)
    pending = until("usage waits on the volume", release.pending_usage, ROLLED_SECONDS)
    kept, notes = release.claims(), release.helm("get", "notes", RELEASE)
    release.helm("uninstall", RELEASE, "--wait", "--timeout=5m")
    until("its pods are gone", lambda: not release.space.core.list_namespaced_pod(release.space.name).items, 90)
    assert _definition(release)
    assert {name: claim.metadata.uid for name, claim in release.claims().items()} == {
        name: claim.metadata.uid for name, claim in kept.items()
    }
    assert CRD in notes
    for name in kept:
        assert name in notes
    command = next(line for line in notes.splitlines() if "kubectl get pvc" in line)
    assert all(name in release.kubectl(*shlex.split(command)[1:]) for name in kept)

    release.put("install", scope="cluster")
    release.await_heard_of()
    assert release.pending_usage() >= pending, "the same volume, and what waits on it"


@pytest.mark.usefixtures("for_the_cluster")
def test_installed_for_the_cluster_it_looks_after_every_namespace_and_sees_its_storage_classes(
    door: Door, release: Release, images: Mapping[str, str], recordings: Path
) -> None:
    assert release.operator_setting("WATCH_NAMESPACES") == ""
    assert f"{OPERATOR}-{release.space.name}" in release.cluster_roles()
    assert f"{OPERATOR}-{release.space.name}" not in release.roles()
    with live_namespace(door, "elsewhere") as elsewhere:
        trial = OperatedStack(elsewhere, "trial")
        spec = small(images, {"type": "None"})
        spec["licenseProxy"] |= {"storage": {"storageClassName": "nowhere"}}
        trial.create(spec)
        hear_side_by_side([(release.stack, "universal-streaming-english")], recordings)
        told = trial.await_condition("GatewayAvailable", "False", STARTUP_SECONDS, "StorageClassMissing")
        assert "no StorageClass nowhere (spec.licenseProxy.storage.storageClassName" in told["message"]
        assert door.storage_class in told["message"]
        trial.delete()


def _gateways(stack: OperatedStack) -> set[str]:
    return {pod.metadata.uid for pod in stack.ready_pods("gateway")}


def _is_replaced(stack: OperatedStack, before: set[str]) -> bool:
    staying = {pod.metadata.uid for pod in stack.pods("gateway")}
    return bool(_gateways(stack)) and not staying & before


def _definition(release: Release) -> list[Any]:
    """What users see of the definition: its schema and its columns."""
    found = client.ApiextensionsV1Api(release.space.api).read_custom_resource_definition(CRD)
    versions: list[Any] = release.space.api.sanitize_for_serialization(found.spec.versions)
    return versions


def _spoil(release: Release) -> None:
    """Take the last column and the description of `spec` out of the definition, as an older release had none."""
    last = len(_definition(release)[0]["additionalPrinterColumns"]) - 1
    version = "/spec/versions/0"
    gone = (f"additionalPrinterColumns/{last}", "schema/openAPIV3Schema/properties/spec/description")
    client.ApiextensionsV1Api(release.space.api).patch_custom_resource_definition(
        CRD, [{"op": "remove", "path": f"{version}/{path}"} for path in gone]
    )

"""A cluster behind its door and what all tests of a run share: a stack from plain manifests, and that of the story."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from built_images import built_images, references
from e2e_cluster.door import Door
from e2e_cluster.doors import door as door_of
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import plan
from listener import resolving
from live_namespace import LiveNamespace, live_namespace, until
from operated_stack import OperatedStack, example, install, issue_license, mirror, mirror_url, through_gateway
from plain_stack import STARTUP_SECONDS, PlainStack, is_served, raise_stack
from scripted_stack import Running, small_stack

# Images are on the nodes and models in the cluster, so no network of others is in it; 29 to 44 s are usual.
READY_SECONDS = 90.0
_MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def door() -> Door:
    """The cluster that CLUSTER names; it has to be up."""
    try:
        return door_of(os.environ.get("CLUSTER", "local"), plan(os.environ.get("CLUSTER_NAME", "local")), print)
    except ClusterError as wrong:
        pytest.fail(f"no cluster: {wrong}", pytrace=False)


@pytest.fixture(scope="session")
def images(door: Door) -> Mapping[str, str]:
    """References of the built images by their names in the manifests, all loaded into the cluster."""
    archives = built_images()
    door.load(list(archives.values()))
    return references(archives)


@pytest.fixture(scope="session")
def namespace(door: Door) -> Iterator[LiveNamespace]:
    """A namespace of this run under the restricted level."""
    with live_namespace(door, "e2e") as made:
        yield made


@pytest.fixture(scope="session")
def stack(
    namespace: LiveNamespace, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PlainStack]:
    """The stack from plain manifests, reachable by its names."""
    door = namespace.door
    raised = raise_stack(namespace, images, tmp_path_factory.mktemp("license"))
    with resolving(door.domain, door.ingress_address, str(door.ca_file)):
        yield raised


@pytest.fixture(scope="session")
def scripted(door: Door, images: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An operated stack with a scripted pool, served with and without TLS; its troubles need a local cluster."""
    if door.cluster != "local":
        pytest.skip(f"not run: containers of CLUSTER={door.cluster} cannot be frozen or killed")
    with live_namespace(door, "operator") as operator, live_namespace(door, "scripted") as space:
        install(operator, space, images)
        issue_license(space, tmp_path_factory.mktemp("license"))
        stack = OperatedStack(space, "scripted")
        spec = small_stack(images)
        spec["gateway"]["expose"] = through_gateway(stack, listener=None)
        stack.create(spec)
        running = Running(stack, operator)
        running.settle(STARTUP_SECONDS)
        until(f"{stack.host} is served", lambda: is_served(door, stack.host), 60)
        with resolving(door.domain, door.ingress_address, str(door.ca_file)):
            yield running


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder with the recordings that come with the project."""
    return Path(__file__).parents[2] / "examples" / "audio"


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Callable[[str, float], None]:
    """Takes figures, what and how many seconds; they are printed at the end of the run."""
    figures = request.config.stash.setdefault(_MEASURED, [])
    return lambda what, seconds: figures.append(f"{what}: {seconds:.1f} s")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The figures."""
    for figure in config.stash.get(_MEASURED, []):
        terminalreporter.write_line(f"measured: {figure}")


@pytest.fixture(scope="session")
def operator(door: Door) -> Iterator[LiveNamespace]:
    """The operator's namespace, in the story."""
    with live_namespace(door, "operator") as made:
        yield made


@pytest.fixture(scope="session")
def license_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The issuer's keys."""
    return tmp_path_factory.mktemp("license")


@pytest.fixture(scope="session")
def neighbour(door: Door) -> Iterator[LiveNamespace]:
    """Another namespace that the operator watches."""
    with live_namespace(door, "neighbour") as made:
        yield made


@pytest.fixture(scope="session")
def space(
    door: Door, operator: LiveNamespace, neighbour: LiveNamespace, images: Mapping[str, str], license_folder: Path
) -> Iterator[LiveNamespace]:
    """A namespace that the operator watches; one licence is in both."""
    with live_namespace(door, "story") as made:
        install(operator, made, images, neighbour)
        for watched in (made, neighbour):
            issue_license(watched, license_folder)
        yield made


@pytest.fixture(scope="session")
def mirrored(space: LiveNamespace, images: Mapping[str, str]) -> Mapping[str, list[dict[str, Any]]]:
    """Files of the test models, as the cluster has them."""
    return mirror(space, images)


@pytest.fixture(scope="session")
def speech(
    door: Door,
    space: LiveNamespace,
    mirrored: Mapping[str, list[dict[str, Any]]],
    measured: Callable[[str, float], None],
) -> Iterator[OperatedStack]:
    """The stack of the story: examples/universal.yaml, Ready, by its name at the Gateway."""
    stack = OperatedStack(space, "speech")
    spec = example("universal", mirrored)
    spec["gateway"]["expose"] = through_gateway(stack)
    # Nobody asks there, but it is the one way out that the licence proxies' policy leaves them.
    spec["licenseProxy"]["checkInEndpoint"] = mirror_url(space)
    began = time.monotonic()
    stack.create(spec)
    stack.await_condition("Ready", "True", STARTUP_SECONDS)
    took = time.monotonic() - began
    measured("examples/universal.yaml, from its creation until it is Ready", took)
    if door.cluster == "local":
        assert took <= READY_SECONDS, f"Ready only after {took:.0f} s"
    until(f"{stack.host} is served", lambda: is_served(door, stack.host), STARTUP_SECONDS)
    with resolving(door.domain, door.ingress_address, str(door.ca_file)):
        yield stack

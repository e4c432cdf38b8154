"""A cluster behind its door, a namespace and a stack in it; all tests of a run share them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from built_images import built_images, references
from e2e_cluster.door import Door
from e2e_cluster.doors import door as door_of
from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import plan
from listener import resolving
from live_namespace import LiveNamespace, live_namespace, until
from operated_stack import OperatedStack, install, issue_license, through_gateway
from plain_stack import STARTUP_SECONDS, PlainStack, is_served, raise_stack
from scripted_stack import Running, small_stack


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

"""pytest fixtures: a real API server with its controllers, an operator over some namespaces, one for each test."""

import secrets
from collections.abc import Iterator

import pytest
from e2e_cluster.api_server import ApiServer, start_api
from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, Running, install_definition, make_namespace, operator

_SPACES = 40


@pytest.fixture(scope="session")
def api(api_server_with_controllers: ApiServer) -> KubernetesApi:
    """The API server, with our custom resource definition."""
    found = KubernetesApi(api_server_with_controllers.kubeconfig)
    install_definition(found)
    return found


@pytest.fixture(scope="session")
def own_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesApi]:
    """An API server that nobody else has, for operators that watch the whole cluster."""
    with start_api(tmp_path_factory.mktemp("own-api"), controllers=True) as server:
        found = KubernetesApi(server.kubeconfig)
        install_definition(found)
        yield found


@pytest.fixture(scope="session")
def _spaces(api: KubernetesApi) -> Iterator[list[str]]:
    run = secrets.token_hex(3)
    names = [f"op-{run}-{number}" for number in range(_SPACES)]
    api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names])
    yield names
    api.kubectl("delete", "namespace", "--wait=false", *names)


@pytest.fixture(scope="session")
def running(api: KubernetesApi, _spaces: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One operator for all tests that end none."""
    log = tmp_path_factory.mktemp("operator") / "log"
    with operator(api.kubeconfig, log, ",".join(_spaces), UNLISTED_SECONDS="3", READINGS_SECONDS="2") as process:
        yield process


@pytest.fixture(scope="session")
def _left(_spaces: list[str]) -> list[str]:
    return list(_spaces)


@pytest.fixture
def space(api: KubernetesApi, running: Running, _left: list[str]) -> Iterator[Namespace]:
    """A namespace of the test's own that the running operator watches."""
    assert running.process.poll() is None
    made = make_namespace(api, _left.pop())
    yield made
    # Stacks that nobody looks at any more would still be read, sized and looked after until the run's end.
    made.kubectl("delete", "streamingstack", "--all", "--wait=false")


@pytest.fixture
def elsewhere(api: KubernetesApi) -> Iterator[Namespace]:
    """A namespace that no running operator watches."""
    made = make_namespace(api, f"op-{secrets.token_hex(4)}")
    yield made
    api.kubectl("delete", "namespace", "--wait=false", made.name)

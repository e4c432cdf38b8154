"""What the tests of the command share: a layout without a machine behind it, a gateway without a model, free ports."""

import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from e2e_cluster.api_server import ApiServer
from e2e_cluster.kubernetes_api import KubernetesApi
from stack_model.api import load_stack
from stack_model.local import local_ports
from streaming_asr.triton.launch import TritonFiles
from streaming_gateway.app import run_gateway
from streaming_gateway.settings import GatewaySettings
from streamingstack_bench.scripted import Script, serve_scripted
from streamingstack_cli.layout import Layout, State
from streamingstack_cli.processes import LOOPBACK

from .doctor_facts import license_issuer, well
from .site import EXAMPLES, ROOT, Site, made_site

__all__ = ["EXAMPLES", "ROOT", "license_issuer", "well"]

SAID = "Hello there, this is a test. | | Done."
MODELS = json.dumps([{"speech_model": "universal-streaming-english", "route": "en-default"}])


def layout_of(stack_file: Path, state: Path, offset: int = 0) -> Layout:
    """Where everything would lie; nothing of it needs to exist."""
    stack = load_stack(stack_file)
    return Layout(
        state=State(state),
        ports=local_ports(stack, offset),
        host=LOOPBACK,
        python="/venv/bin/python",
        model_repository=Path("/models"),
        backends=state / "triton" / "backends",
        triton=TritonFiles(Path("/triton"), Path("/triton.libs"), Path("/external"), Path("/stub")),
        models={model.name: Path("/cache") / model.name for model in stack.spec.models},
        hearing=Path("/cache/hearing"),
        license=state / "license.jwt",
        public_keys=state / "keys.json",
        inherited={"HOME": "/home/me", "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "secret"},
    )


@pytest.fixture
def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def gateway(keys: Path | None = None) -> AsyncIterator[str]:
    """The URL of a gateway whose recogniser hears SAID."""
    async with serve_scripted(Script.of(SAID)) as recogniser:
        settings = GatewaySettings(
            host="127.0.0.1",
            port=0,
            metrics_port=0,
            models=MODELS,
            asr_endpoint=f"127.0.0.1:{recogniser.port}",
            api_keys_file=keys,
            drain_seconds=0,
        )
        async with run_gateway(settings) as running:
            yield f"ws://127.0.0.1:{running.port}"


@pytest.fixture(scope="module")
def known(api_server: ApiServer) -> KubernetesApi:
    """An API server that knows StreamingStacks."""
    api = KubernetesApi(api_server.kubeconfig)
    api.apply_text((ROOT / "crds" / "streamingstacks.yaml").read_text())
    wait = ("wait", "--for=condition=Established", "crd/streamingstacks.streamingstack.dev", "--timeout=60s")
    api.kubectl(*wait)
    return api


@pytest.fixture
def site(known: KubernetesApi) -> Iterator[Site]:
    with made_site(known) as made:
        yield made


@pytest.fixture
def elsewhere(known: KubernetesApi) -> Iterator[Site]:
    """Another namespace."""
    with made_site(known) as made:
        yield made

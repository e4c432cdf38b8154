"""What the tests of the command share: a layout without a machine behind it, free ports, the repository's examples."""

import socket
from pathlib import Path

import pytest
from stack_model.api import load_stack
from stack_model.local import local_ports
from streaming_asr.triton.launch import TritonFiles
from streamingstack_cli.layout import Layout, State
from streamingstack_cli.processes import LOOPBACK

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


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

"""A port that is taken is named, with who has it."""

import socket

import pytest
from streamingstack_cli.errors import CommandError
from streamingstack_cli.processes import LOOPBACK
from streamingstack_cli.taken_ports import require_free


@pytest.fixture
def listener() -> socket.socket:
    taken = socket.create_server((LOOPBACK, 0))
    return taken


def test_a_taken_port_names_its_part_its_process_and_the_remedy(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    with listener, pytest.raises(CommandError) as refused:
        require_free({port: "gateway"}, LOOPBACK)
    text = str(refused.value)
    assert text.startswith(f"port {port} (gateway) is taken by ")
    assert "(process " in text
    assert "--port-offset" in text


def test_a_port_that_was_let_go_is_free_at_once(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    client = socket.create_connection((LOOPBACK, port))
    served, _ = listener.accept()
    served.close()
    client.close()
    listener.close()
    require_free({port: "gateway"}, LOOPBACK)


def test_several_taken_ports_are_counted(listener: socket.socket) -> None:
    with listener, socket.create_server((LOOPBACK, 0)) as other:
        ports = {listener.getsockname()[1]: "one", other.getsockname()[1]: "two"}
        with pytest.raises(CommandError, match="and 1 more"):
            require_free(ports, LOOPBACK)

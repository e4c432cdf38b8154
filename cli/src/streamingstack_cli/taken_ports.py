"""Which of the wanted ports are taken, and by whom."""

import errno
import socket
from collections.abc import Mapping

import psutil

from streamingstack_cli.errors import CommandError


def require_free(ports: Mapping[int, str], host: str) -> None:
    """Raise CommandError naming the first port on `host` that something listens on, and its process."""
    taken = [port for port in sorted(ports) if not _is_free(host, port)]
    if taken:
        port = taken[0]
        more = f" (and {len(taken) - 1} more)" if len(taken) > 1 else ""
        raise CommandError(
            f"port {port} ({ports[port]}) is taken by {holder(port)}{more}; "
            "stop it, or shift every port: --port-offset 100"
        )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do: connections that are still closing do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as failure:
            if failure.errno == errno.EADDRINUSE:
                return False
            raise CommandError(f"cannot listen on {host}:{port}: {failure.strerror}") from None
    return True


def holder(port: int) -> str:
    """The process that listens on `port`, in words."""
    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        ]
        pid = next(pid for pid in listening if pid)
        return f"{_command(psutil.Process(pid))} (process {pid})"
    except (psutil.Error, StopIteration):
        return "a process of another user"


def _command(process: psutil.Process) -> str:
    words = process.cmdline()
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    return process.name()

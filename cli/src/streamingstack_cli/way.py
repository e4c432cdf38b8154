"""How the connection to a server is made: whom to trust, and where its name leads."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from streamingstack_cli.errors import CommandError


@dataclass(frozen=True)
class Way:
    """`trust` None: the system's authorities; `host` and `port` None: as the URL says."""

    trust: ssl.SSLContext | None = None
    host: str | None = None
    port: int | None = None

    def options(self, url: str) -> dict[str, Any]:
        """Keywords of `websockets.connect` for `url`."""
        found: dict[str, Any] = {}
        if self.host is not None:
            found |= {"host": self.host, "port": self.port}
        if self.trust is not None and urlsplit(url).scheme == "wss":
            found["ssl"] = self.trust
        return found


def way_to(ca: Path | None, connect_to: str | None) -> Way:
    """From the command line; raises CommandError with status 2."""
    trust = None
    if ca is not None:
        try:
            trust = ssl.create_default_context(cafile=str(ca))
        except (OSError, ssl.SSLError) as failure:
            raise CommandError(
                f"--ca {ca}: {failure.strerror or failure}; give a PEM file of certificates", 2
            ) from None
    if connect_to is None:
        return Way(trust)
    host, colon, port = connect_to.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise CommandError(f"--connect-to {connect_to!r}: expected HOST:PORT", 2)
    return Way(trust, host.strip("[]"), int(port))

"""The port for clients: WebSockets on `/` and `/v3/ws`, tokens and health beside them."""

import contextlib
import json
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets import http11
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from streaming_gateway.connection import WRITE_LIMIT, Patience, connections
from streaming_gateway.gateway import Gateway
from streaming_gateway.goodbye import GOODBYE_SECONDS
from streaming_gateway.tls import ServingCertificate
from streaming_gateway.token_endpoint import token_answer

_SESSION_PATHS = ("/", "/v3/ws")
_HEALTH_PATHS = ("/v3/ws/health", "/v3/health", "/healthz")
# A legal chunk of 1000 ms at 96 kHz is 192,000 bytes.
_LONGEST_MESSAGE = 256 * 1024
_HANDSHAKE_SECONDS = 10.0
# A hundred keyterms and a prompt, percent-encoded, do not fit into the library's 8 KiB.
http11.MAX_LINE_LENGTH = 128 * 1024


def _quiet_logger() -> logging.Logger:
    """The library's records quote frames and requests, that is transcripts and tokens: they go nowhere."""
    logger = logging.getLogger("streaming_gateway.websockets")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


@contextlib.asynccontextmanager
async def serve_clients(
    gateway: Gateway, host: str, port: int, patience: Patience, certificate: ServingCertificate | None = None
) -> AsyncIterator[Server]:
    """Serve while the context is open: wss and https with `certificate`. Raises OSError when the port is taken."""

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        return plain_answer(gateway, request)

    async with serve(
        gateway.serve,
        host,
        port,
        process_request=answer,
        max_size=_LONGEST_MESSAGE,
        compression=None,
        # The library calls it with what it gives to its own class.
        create_connection=connections(patience),  # type: ignore[arg-type]
        write_limit=WRITE_LIMIT,
        open_timeout=_HANDSHAKE_SECONDS,
        ping_interval=patience.ping_seconds,
        ping_timeout=patience.pong_seconds,
        close_timeout=GOODBYE_SECONDS,
        server_header=None,
        ssl=certificate.context if certificate else None,
        ssl_handshake_timeout=_HANDSHAKE_SECONDS if certificate else None,
        logger=_quiet_logger(),
    ) as server:
        yield server


def plain_answer(gateway: Gateway, request: Request) -> Response | None:
    """The answer to what is no session; None: go on with the upgrade, which answers 426 where none was asked for."""
    path, query = urlsplit(request.path)[2:4]
    if path in _SESSION_PATHS:
        return None
    if path in _HEALTH_PATHS:
        return _json(HTTPStatus.OK, {"status": "ok"})
    if path == "/v3/token":
        return _json(*token_answer(gateway.auth, query, request.headers.get_all("Authorization")))
    if path == "/readyz":
        ready = gateway.ready
        return _json(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": ready})
    if path.startswith("/v2/"):
        return _json(HTTPStatus.GONE, {"error": "version 2 is no more: use /v3/ws"})
    return _json(HTTPStatus.NOT_FOUND, {"error": "no such path: sessions are at / and /v3/ws"})


def _json(status: HTTPStatus, body: dict[str, object]) -> Response:
    content = json.dumps(body).encode()
    headers = Headers(
        {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Cache-Control": "no-store",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, content)

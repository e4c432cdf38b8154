"""A WebSocket by hand, for frames that no library sends, and for clients that read nothing."""

import asyncio
import base64
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
UPGRADE = (
    b"GET /v3/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: small\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
SMALL_BUFFER = 4096


@contextlib.asynccontextmanager
async def raw_client(port: int, sent: bytes) -> AsyncIterator[socket.socket]:
    """A connection on which nothing is done but what the test does: no pings answered, nothing read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    made.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(made, ("127.0.0.1", port))
    await loop.sock_sendall(made, sent)
    try:
        yield made
    finally:
        made.close()


async def upgrade(port: int, **query: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An open WebSocket of a session with `query`; what the server says next is its first frame."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /v3/ws?{urlencode(query)} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Authorization: x\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, masked: bool = True, length: int = -1
) -> bytes:
    """One frame of a client, by RFC 6455, section 5.2, with a mask of zeros.

    `reserved`: the three RSV bits as a number; `length`: the one that is told, where it is not the payload's.
    """
    told = len(payload) if length < 0 else length
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if told < 126:
        head += bytes([mask_bit | told])
    elif told < 2**16:
        head += bytes([mask_bit | 126]) + told.to_bytes(2)
    else:
        head += bytes([mask_bit | 127]) + told.to_bytes(8)
    return head + (bytes(4) if masked else b"") + payload


def masked_text(payload: bytes) -> bytes:
    """A whole text frame."""
    return frame(TEXT, payload)


async def closed_with(reader: asyncio.StreamReader) -> int | None:
    """Read on to the end of the connection; the code of the server's Close, 1005 where that has none.

    None: the connection ended without a Close.
    """
    while True:
        try:
            first, told = await reader.readexactly(2)
            size = told if told < 126 else int.from_bytes(await reader.readexactly(2 if told == 126 else 8))
            payload = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        if first & 0x0F == CLOSE:
            return int.from_bytes(payload[:2]) if payload else 1005

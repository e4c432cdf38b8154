"""Clients of a service's HTTP port that end no request, take no answer, speak no HTTP, or are gone without a word."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from service_kit.http import metrics_app, serve_http
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HALF_OPEN = [b"", b"GET /metrics HT", b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-More: "]
ONE_REQUEST = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("sent", [*HALF_OPEN, *(ONE_REQUEST + half for half in HALF_OPEN)])
async def test_a_client_that_ends_no_request_is_hung_up_on(sent: bytes) -> None:
    """Also one that goes on by a byte at a time, and one that was answered before."""
    async with serve_http(metrics_app(CollectorRegistry()), "127.0.0.1", 0, head_seconds=1.0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        began = time.monotonic()

        async def trickle() -> None:
            while True:
                await asyncio.sleep(0.2)
                writer.write(b"x")

        slowly = asyncio.create_task(trickle()) if sent.endswith(b": ") else None
        async with asyncio.timeout(10):
            with contextlib.suppress(ConnectionError):
                while await reader.read(65536):
                    pass
        assert time.monotonic() - began > 0.5
        writer.close()
        if slowly is not None:
            slowly.cancel()
            await asyncio.gather(slowly, return_exceptions=True)


async def test_a_request_whose_answer_takes_long_is_not_hung_up_on() -> None:
    async def slow(_: Request) -> Response:
        await asyncio.sleep(1.0)
        return Response("done")

    app = metrics_app(CollectorRegistry(), Route("/slow", slow))
    async with (
        serve_http(app, "127.0.0.1", 0, head_seconds=0.3) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        for _ in range(2):
            assert (await client.get("/slow")).text == "done"


MEGABYTE = 1024 * 1024


async def large(_: Request) -> Response:
    """More than the kernel keeps of what nobody reads."""
    return Response(bytes(30 * MEGABYTE))


@contextlib.asynccontextmanager
async def asking_for_much(port: int, *, requests: int = 1) -> AsyncIterator[socket.socket]:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", port))
        await loop.sock_sendall(client, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
        yield client


@pytest.mark.parametrize("requests", [1, 3])
async def test_a_client_that_takes_nothing_of_its_answer_is_hung_up_on(requests: int) -> None:
    """Also one that asks again and again."""
    app = metrics_app(CollectorRegistry(), Route("/large", large))
    async with serve_http(app, "127.0.0.1", 0, reading_seconds=1.0) as port:
        before = open_files()
        async with asking_for_much(port, requests=requests):
            began = time.monotonic()
            async with asyncio.timeout(10):
                while open_files() < before + 2:  # both ends
                    await asyncio.sleep(0.01)
                while open_files() > before + 1:
                    await asyncio.sleep(0.05)
        assert time.monotonic() - began > 0.9


async def test_a_client_that_takes_its_answer_slowly_gets_all_of_it() -> None:
    app = metrics_app(CollectorRegistry(), Route("/large", large))
    async with serve_http(app, "127.0.0.1", 0, reading_seconds=1.0) as port, asking_for_much(port) as client:
        began, taken = time.monotonic(), 0
        while taken < 30 * MEGABYTE:
            piece = await asyncio.get_running_loop().sock_recv(client, MEGABYTE)
            assert piece, "hung up on"
            taken += len(piece)
            await asyncio.sleep(0.1 * len(piece) / MEGABYTE)
        assert time.monotonic() - began > 2


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


NO_HTTP = b'{"error_code":"bad_request"}'


@pytest.mark.parametrize(
    "sent", [b"hello\r\n\r\n", ONE_REQUEST + b"hello\r\n\r\n", ONE_REQUEST[:-2] + b"X Y: z\r\n\r\n"]
)
async def test_what_is_no_http_is_answered_in_the_services_own_form(sent: bytes) -> None:
    async with serve_http(metrics_app(CollectorRegistry()), "127.0.0.1", 0, no_http=NO_HTTP) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        async with asyncio.timeout(10):
            last = (await reader.read())[-1000:]
        writer.close()
    head, _, body = last[last.index(b"HTTP/1.1 400") :].partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert body == NO_HTTP


async def test_what_is_no_http_within_an_answer_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    """One answer only, and no fault of the service."""

    async def early(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no", "more_body": True})
        while (await receive()).get("more_body", False):
            pass

    async with serve_http(early, "127.0.0.1", 0, no_http=NO_HTTP) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n\r\nno")).startswith(b"HTTP/1.1 401")
            writer.write(b"no chunk\r\n")
            assert await reader.read() == b""
        writer.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_whose_machine_is_gone_is_found_out() -> None:
    """By the kernel: an idle connection is asked whether it lives, first within 20 s."""
    async with serve_http(metrics_app(CollectorRegistry()), "127.0.0.1", 0) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(5):
            while not (timers := keepalive_timers(port)):
                await asyncio.sleep(0.01)
        assert all(0 < seconds <= 20 for seconds in timers)
        writer.close()


def keepalive_timers(port: int) -> list[float]:
    """Seconds until the kernel asks, of each established connection to a port of this machine; see proc(5)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = [row[5] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01"]
    return [int(timer[3:], 16) / os.sysconf("SC_CLK_TCK") for timer in established if timer.startswith("02")]

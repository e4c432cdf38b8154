"""The official Python SDK, unchanged, gets a temporary token over TLS and opens a session with it."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from assemblyai.streaming.v3 import (
    BeginEvent,
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
)

SECRET = "0123456789abcdef0123456789abcdef"


def begun_with_a_token(host: str) -> tuple[BeginEvent, str]:
    """Ask for a token with a key, then open a session with the token alone."""
    token = StreamingClient(StreamingClientOptions(api_key="a-key", api_host=host)).create_temporary_token(
        expires_in_seconds=60, max_session_duration_seconds=300
    )
    begun: list[BeginEvent] = []
    told = threading.Event()

    def on_begin(_: Any, event: BeginEvent) -> None:
        begun.append(event)
        told.set()

    client = StreamingClient(StreamingClientOptions(token=token, api_host=host))
    client.on(StreamingEvents.Begin, on_begin)
    client.connect(StreamingParameters(sample_rate=16_000))
    assert told.wait(10)
    client.disconnect(terminate=True)
    return begun[0], token


async def test_the_python_sdk_gets_a_token_and_opens_a_session_with_it(
    stack: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    leaf, files = authority.issue_cert("localhost"), {}
    for name, blobs in (("tls_cert_file", leaf.cert_chain_pems), ("tls_key_file", [leaf.private_key_pem])):
        files[name] = tmp_path / name
        files[name].write_bytes(b"".join(blob.bytes() for blob in blobs))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    secret = tmp_path / "token-secret"
    secret.write_text(SECRET)
    async with stack(token_secret_file=secret, **files) as running:
        begin, token = await asyncio.to_thread(begun_with_a_token, f"localhost:{running.running.port}")
    assert token.count(".") == 2
    assert abs(begin.expires_at.timestamp() - time.time() - 300) < 30

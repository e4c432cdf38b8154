"""The link over TLS, through a real nginx that has a certificate of a company's own authority."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from streaming_gateway.link import LinkSettings
from streaming_gateway.settings import GatewaySettings
from streamingstack_bench.scripted import Script, serve_scripted

CONF = """
daemon off; pid nginx.pid; error_log stderr warn; worker_processes 1; {user}
events {{ worker_connections 64; }}
http {{
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  access_log off;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate server.pem; ssl_certificate_key server.key; ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 0;
    location / {{ grpc_pass grpc://127.0.0.1:{behind}; grpc_read_timeout 1h; grpc_send_timeout 1h; }}
  }}
}}
"""


@contextlib.asynccontextmanager
async def tls_before(behind: int, authority: trustme.CA, host: str, folder: Path) -> AsyncIterator[int]:
    """nginx with a certificate for `host`, in front of a plain recogniser; yields its port."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/bin")
    assert nginx, "nginx is not installed; run `apt-get install nginx-light`, or your system's equivalent"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    certificate = authority.issue_cert(host)
    certificate.private_key_pem.write_to_path(folder / "server.key")
    for number, pem in enumerate(certificate.cert_chain_pems):
        pem.write_to_path(folder / "server.pem", append=number > 0)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(CONF.format(port=port, behind=behind, user=user))
    process = await asyncio.create_subprocess_exec(nginx, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr")
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    (await asyncio.open_connection("127.0.0.1", port))[1].close()
                    break
                assert process.returncode is None, "nginx did not start"
                await asyncio.sleep(0.05)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


async def test_a_session_through_tls_hears_the_same_words(
    spoken: Script, recognizers: Any, call: Any, undisturbed: Any, authority: trustme.CA, tmp_path: Path
) -> None:
    expected = await undisturbed()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with (
        serve_scripted(spoken) as behind,
        tls_before(behind.port, authority, "localhost", tmp_path) as port,
        recognizers(f"localhost:{port}", secure=True, ca_file=tmp_path / "ca.pem") as (several, _),
    ):
        told = await (await call(several)).finish()
    assert told.comparable() == expected.comparable()


@pytest.mark.parametrize("wrong", ["authority", "host", "plain"])
async def test_a_balancer_that_cannot_prove_itself_gets_no_audio(
    spoken: Script, recognizers: Any, call: Any, authority: trustme.CA, tmp_path: Path, wrong: str
) -> None:
    trusted = trustme.CA() if wrong == "authority" else authority
    host = "another.example" if wrong == "host" else "localhost"
    trusted.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with (
        serve_scripted(spoken) as behind,
        tls_before(behind.port, authority, host, tmp_path) as port,
        recognizers(
            f"localhost:{behind.port if wrong == 'plain' else port}",
            secure=True,
            ca_file=tmp_path / "ca.pem",
            buffer_seconds=1.5,
        ) as (several, registry),
    ):
        caller = await call(several)
        caller.give(1000)
        with pytest.raises(Exception, match="could be reached in time"):
            await caller.listening
        assert behind.slots.active == 0
        await caller.link.close()
    assert registry.get_sample_value("gateway_recognizer_sessions_lost_total") == 1


async def test_a_plain_gateway_gets_no_session_from_a_tls_balancer(
    spoken: Script, recognizers: Any, call: Any, authority: trustme.CA, tmp_path: Path
) -> None:
    async with (
        serve_scripted(spoken) as behind,
        tls_before(behind.port, authority, "localhost", tmp_path) as port,
        recognizers(f"localhost:{port}", buffer_seconds=1.5) as (several, _),
    ):
        caller = await call(several)
        with pytest.raises(Exception, match="could be reached in time"):
            await caller.listening
        await caller.link.close()


def test_the_environment_chooses_tls_and_whom_to_trust(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_MODELS", "[]")
    monkeypatch.setenv("AAI_USE_SECURE_CHANNEL_TO_ASR_SERVICE", "true")
    monkeypatch.setenv("ASR_CA_FILE", str(tmp_path / "ca.pem"))
    link: LinkSettings = GatewaySettings().link()
    assert (link.secure, link.ca_file) == (True, tmp_path / "ca.pem")

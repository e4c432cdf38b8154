"""The way out of a store: a company's proxy, its authority, its credentials; as the process that is deployed."""

import asyncio
import contextlib
import json
import os
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme
from model_store.serving.trust import TrustError, trust_also
from stack_model.stored_models import StoredModel, dump_stored_models

from .conftest import FileServer, _Handler, _Listener, model_file


@contextlib.asynccontextmanager
async def a_store(
    folder: Path, model: StoredModel, log: list[str] | None = None, **variables: str
) -> AsyncIterator[str]:
    """The URL of `python -m model_store serve`; what it logs is in `log` at the end."""
    models = folder / "models.yaml"
    models.write_text(dump_stored_models([model]))
    own = {"HOST": "127.0.0.1", "SERVER_PORT": "0", "METRICS_PORT": "0", "FIRST_RETRY_SECONDS": "0.1"}
    inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NETRC"):
        inherited.pop(name, None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "model_store", "serve", stderr=asyncio.subprocess.PIPE,
        env={**inherited, **own, "MODELS_FILE": str(models), "STORE_DIR": str(folder / "store"), **variables},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        lines = [] if log is None else log
        async for line in process.stderr:
            lines.append(line.decode())
            told = json.loads(line)
            if told["event"] == "Ready to serve!":
                break
        reading = asyncio.create_task(process.stderr.read())
        yield f"http://127.0.0.1:{told['port']}"
        process.terminate()
        lines.append((await reading).decode())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(url: str, *states: str) -> dict[str, Any]:
    """The model's state, once it is one of `states`."""
    async with httpx2.AsyncClient(trust_env=False) as http, asyncio.timeout(60):
        while True:
            found: dict[str, Any] = (await http.get(f"{url}/models/m")).json()
            if found.get("state") in states:
                return found
            await asyncio.sleep(0.05)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[FileServer]:
    """A source whose certificate a company's own authority signed."""
    served = FileServer(files={"/a": b"first"})
    listener = _Listener(("127.0.0.1", 0), type("Handler", (_Handler,), {"served": served}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    listener.socket = context.wrap_socket(listener.socket, server_side=True)
    served.url = f"https://localhost:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    listener.shutdown()
    listener.server_close()
    thread.join()


async def test_a_source_of_a_companys_own_authority_is_trusted_once_its_certificate_is_given(
    tls_server: FileServer, authority: trustme.CA, tmp_path: Path
) -> None:
    model = StoredModel(name="m", files=[model_file("a", b"first", f"{tls_server.url}/a")])
    async with a_store(tmp_path, model) as url:
        refused = await until(url, "Failed", "Ready")
        assert "certificate" in str(refused["error"]).lower()
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    async with a_store(tmp_path, model, EXTRA_CA_FILE=str(tmp_path / "ca.crt")) as url:
        assert (await until(url, "Failed", "Ready"))["error"] is None


async def test_sources_are_asked_through_the_proxy(server: FileServer, tmp_path: Path) -> None:
    # A proxy is asked for whole URLs; the host of this one exists nowhere else.
    source = "http://models.example/a"
    server.files = {source: b"first"}
    model = StoredModel(name="m", files=[model_file("a", b"first", source)])
    async with a_store(tmp_path, model, HTTP_PROXY=server.url, http_proxy=server.url) as url:
        assert (await until(url, "Ready", "Failed"))["error"] is None
    assert server.asked(source) == [None]


async def test_credentials_of_a_host_come_from_a_mounted_netrc(server: FileServer, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin reader\npassword sesame\n")
    server.files = {"/a": b"first"}
    model = StoredModel(name="m", files=[model_file("a", b"first", f"{server.url}/a")])
    async with a_store(tmp_path, model, NETRC=str(netrc)) as url:
        await until(url, "Ready")
    assert server.headers_seen[0]["Authorization"] == "Basic cmVhZGVyOnNlc2FtZQ=="


async def test_no_token_of_a_source_is_in_the_log(server: FileServer, tmp_path: Path) -> None:
    server.files, server.statuses = {"/a": b"first"}, [500, 404]
    log: list[str] = []
    model = StoredModel(name="m", files=[model_file("a", b"first", f"{server.url}/a?token=sesame")])
    async with a_store(tmp_path, model, log, LOGGING_LEVEL="DEBUG") as url:
        await until(url, "Ready")
    assert "model cannot be fetched" in "".join(log)
    assert "model ready" in "".join(log)
    assert "sesame" not in "".join(log)


def test_s3_gets_the_public_and_the_companys_authorities_in_one_file(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    environment: dict[str, str] = {}
    trust_also(tmp_path / "ca.crt", environment)
    both = Path(environment["AWS_CA_BUNDLE"])
    assert authority.cert_pem.bytes().decode().strip() in both.read_text()
    assert both.read_text().count("BEGIN CERTIFICATE") > 1
    assert environment["REQUESTS_CA_BUNDLE"] == str(tmp_path / "ca.crt")
    both.unlink()


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n"])
def test_a_bundle_that_is_none_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "ca.crt").write_text(content)
    with pytest.raises(TrustError, match=r"EXTRA_CA_FILE .*ca\.crt"):
        trust_also(tmp_path / "ca.crt", {})

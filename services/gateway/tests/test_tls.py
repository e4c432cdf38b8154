"""wss by certificate files: reloaded in place, and half of a change never taken."""

import asyncio
import json
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from pydantic import ValidationError
from streaming_gateway.settings import GatewaySettings
from streaming_gateway.tls import ServingCertificate
from websockets.asyncio.client import connect


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def write(folder: Path, leaf: trustme.LeafCert) -> tuple[Path, Path]:
    """Both files, each replaced at once, as mounted Secrets are."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    for path, blobs in ((certificate, leaf.cert_chain_pems), (key, [leaf.private_key_pem])):
        new = path.with_suffix(".new")
        new.write_bytes(b"".join(blob.bytes() for blob in blobs))
        new.replace(path)
    return certificate, key


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def serial(port: int, trusted: ssl.SSLContext) -> int:
    """Which certificate a new client is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusted, server_hostname="localhost")
    found = writer.get_extra_info("ssl_object").getpeercert()
    writer.close()
    return int(found["serialNumber"], 16)


async def test_a_session_over_wss_and_health_over_https(stack: Any, authority: trustme.CA, tmp_path: Path) -> None:
    certificate, key = write(tmp_path, authority.issue_cert("localhost"))
    async with stack(tls_cert_file=certificate, tls_key_file=key) as running:
        url = f"wss://localhost:{running.running.port}/v3/ws"
        headers = {"Authorization": "self-hosted"}
        async with connect(url, ssl=trusting(authority), additional_headers=headers) as connection:
            assert json.loads(await connection.recv())["type"] == "Begin"
            await connection.send('{"type":"Terminate"}')
            assert json.loads(await connection.recv())["type"] == "Termination"
        with pytest.raises(ssl.SSLError):
            await connect(url, ssl=ssl.create_default_context())


async def test_the_override_of_a_compose_project_in_the_docs_names_what_the_gateway_reads_and_sees_its_health(
    stack: Any, authority: trustme.CA, tmp_path: Path
) -> None:
    page = Path(__file__).parents[3] / "docs/compose.md"
    block = page.read_text().split("```yaml\n")[1].split("```")[0]
    service = yaml.safe_load(block)["services"]["streaming-api"]
    aliases = {str(field.validation_alias) for field in GatewaySettings.model_fields.values()}
    assert set(service["environment"]) <= aliases
    certificate, key = write(tmp_path, authority.issue_cert("localhost"))
    kind, _python, *program = service["healthcheck"]["test"]
    assert kind == "CMD"
    async with stack(tls_cert_file=certificate, tls_key_file=key) as running:
        asked = [argument.replace("127.0.0.1:8080", f"127.0.0.1:{running.running.port}") for argument in program]
        assert asked != program
        assert await _status(asked) == 0
    assert await _status(asked) != 0


async def _status(arguments: list[str]) -> int:
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stderr=asyncio.subprocess.DEVNULL)
    return await process.wait()


async def test_a_renewed_certificate_is_shown_to_new_clients_and_open_sessions_go_on(
    stack: Any, authority: trustme.CA, tmp_path: Path
) -> None:
    certificate, key = write(tmp_path, authority.issue_cert("localhost"))
    trusted = trusting(authority)
    async with stack(tls_cert_file=certificate, tls_key_file=key) as running:
        port = running.running.port
        before = await serial(port, trusted)
        url = f"wss://localhost:{port}/v3/ws"
        async with connect(url, ssl=trusted, additional_headers={"Authorization": "x"}) as connection:
            assert json.loads(await connection.recv())["type"] == "Begin"
            write(tmp_path, authority.issue_cert("localhost"))
            async with asyncio.timeout(10):
                while await serial(port, trusted) == before:
                    await asyncio.sleep(0.1)
            await connection.send('{"type":"Terminate"}')
            assert json.loads(await connection.recv())["type"] == "Termination"


def test_half_of_a_change_waits_for_its_other_half(authority: trustme.CA, tmp_path: Path) -> None:
    certificate, key = write(tmp_path, authority.issue_cert("localhost"))
    served = ServingCertificate(certificate, key)
    old = certificate.read_bytes()
    new = authority.issue_cert("localhost")
    certificate.write_bytes(b"".join(blob.bytes() for blob in new.cert_chain_pems))
    served.look()
    assert shown(served, authority) in old
    key.write_bytes(new.private_key_pem.bytes())
    served.look()
    assert shown(served, authority) in certificate.read_bytes()


@pytest.mark.parametrize("named", [True, False], ids=["with its host's name", "without"])
@pytest.mark.parametrize(
    ("before", "after"), [(trustme.KeyType.ECDSA, trustme.KeyType.RSA), (trustme.KeyType.RSA, trustme.KeyType.ECDSA)]
)
def test_a_certificate_with_another_kind_of_key_takes_the_place_of_the_old_one(
    authority: trustme.CA, tmp_path: Path, before: trustme.KeyType, after: trustme.KeyType, named: bool
) -> None:
    certificate, key = write(tmp_path, authority.issue_cert("localhost", key_type=before))
    served = ServingCertificate(certificate, key)
    assert shown(served, authority, named=named) in certificate.read_bytes()
    for kind in (after, before):
        write(tmp_path, authority.issue_cert("localhost", key_type=kind))
        served.look()
        assert shown(served, authority, named=named) in certificate.read_bytes()


def shown(served: ServingCertificate, authority: trustme.CA, *, named: bool = True) -> bytes:
    """The certificate of a handshake in memory, as PEM; `named`: the client tells which host it wants."""
    pipes = [ssl.MemoryBIO() for _ in range(2)]
    trusted = trusting(authority)
    trusted.check_hostname = named
    client = trusted.wrap_bio(pipes[0], pipes[1], server_hostname="localhost" if named else None)
    server = served.context.wrap_bio(pipes[1], pipes[0], server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found).strip().encode()


@pytest.mark.parametrize("damage", ["gone", "empty", "other key"])
def test_files_that_cannot_be_used_stop_the_start_and_not_what_runs(
    authority: trustme.CA, tmp_path: Path, damage: str
) -> None:
    certificate, key = write(tmp_path, authority.issue_cert("localhost"))
    served = ServingCertificate(certificate, key)
    before = shown(served, authority)
    if damage == "gone":
        key.unlink()
    elif damage == "empty":
        key.write_text("")
    else:
        key.write_bytes(authority.issue_cert("localhost").private_key_pem.bytes())
    served.look()
    assert shown(served, authority) == before
    with pytest.raises(ValueError, match=r"TLS_CERT_FILE .* and TLS_KEY_FILE .* belong together"):
        ServingCertificate(certificate, key)


def test_one_file_without_the_other_is_refused() -> None:
    with pytest.raises(ValidationError, match="give both, or neither"):
        GatewaySettings(tls_cert_file=Path("tls.crt"))


async def test_a_client_that_never_speaks_is_hung_up_on(stack: Any, authority: trustme.CA, tmp_path: Path) -> None:
    certificate, key = write(tmp_path, authority.issue_cert("localhost"))
    async with stack(tls_cert_file=certificate, tls_key_file=key) as running:
        half_open = socket.create_connection(("127.0.0.1", running.running.port))
        half_open.setblocking(False)
        async with asyncio.timeout(20):
            assert await asyncio.get_running_loop().sock_recv(half_open, 1) == b""
        half_open.close()

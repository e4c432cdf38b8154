"""A licence that has ended, from its file to the client: the real proxy, a real gateway, a scripted recogniser."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from license_token import SigningKey, development_claims, issue
from streamingstack_bench.scripted import serve_scripted
from streamingstack_bench.wire_client import wire_client

from .conftest import ENGLISH, SCRIPT, start, wait_for


def a_license(key: SigningKey, *, days: int) -> str:
    """Issued two months ago, with `days` left."""
    now = datetime.now(UTC).replace(microsecond=0)
    claims = development_claims("acme", now - timedelta(days=60))
    return issue(claims.model_copy(update={"expires_at": now + timedelta(days=days)}), key.private_key, key.key_id)


@pytest.fixture
def license_file(tmp_path):
    """Expired; `keys.json` beside it vouches for the key that is yielded with it."""
    key = SigningKey.generate()
    (tmp_path / "keys.json").write_text(key.public_keys().to_json())
    (tmp_path / "license.jwt").write_text(a_license(key, days=-1))
    return tmp_path / "license.jwt", key


@pytest.fixture
async def gateway_url(license_file, tmp_path):
    """Of a gateway whose licence proxy has that file."""
    file, _ = license_file
    with contextlib.ExitStack() as processes:
        proxy = start(
            processes,
            tmp_path,
            "license_proxy",
            HOST="127.0.0.1",
            SERVER_PORT="0",
            LICENSE_FILE_PATH=str(file),
            LICENSE_PUBLIC_KEYS_PATH=str(file.with_name("keys.json")),
            LICENSE_RELOAD_SECONDS="0.05",
            STATE_DIR=str(tmp_path / "state"),
        )
        async with serve_scripted(SCRIPT) as recogniser:
            gateway = start(
                processes,
                tmp_path,
                "streaming_gateway",
                HOST="127.0.0.1",
                AAI_WSS_PORT="0",
                METRICS_PORT="0",
                AAI_ASR_ENDPOINT=f"127.0.0.1:{recogniser.port}",
                AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT=f"http://127.0.0.1:{wait_for(proxy, PORT)}",
                GATEWAY_MODELS=json.dumps([{"speech_model": ENGLISH, "route": "en-default"}]),
                DRAIN_SECONDS="0",
            )
            yield f"ws://127.0.0.1:{wait_for(gateway, PORT)}"


PORT = r'"port": ?(\d+)'


async def first_message(url):
    """What a new client is told first, and how its connection was closed, None where it was not."""
    async with wire_client(url) as client:
        message = await client.next()
        closed = None if message["type"] == "Begin" else await client.rest()
        return message, closed


async def until_not(text, url):
    """The first message that does not say `text`."""
    async with asyncio.timeout(30):
        while text in (told := await first_message(url))[0].get("error", ""):
            await asyncio.sleep(0.1)
    return told


async def test_a_client_of_an_expired_licence_is_told_so_and_of_a_renewed_one_is_let_in(gateway_url, license_file):
    message, (code, _) = await until_not("license not checked yet", gateway_url)
    assert (code, message["error_code"]) == (1008, 1008)
    assert message["error"] == "Unauthorized Connection: license not valid"
    file, key = license_file
    renewed = file.with_name("renewed.jwt")
    renewed.write_text(a_license(key, days=30))
    renewed.rename(file)
    message, _ = await until_not("license not valid", gateway_url)
    assert message["type"] == "Begin"

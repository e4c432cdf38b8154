"""Every real client with real speech through the whole stack, in real time."""

import contextlib
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jiwer
import pytest
import trustme
from client_runs import EXAMPLE, JAVASCRIPT_SDK, LIVEKIT, PIPECAT, PYTHON_SDK, PYTHON_SDK_ASYNC, Told, run_client
from running_stack import AUDIO, RATE, LocalStack
from streaming_gateway.app import run_gateway
from streaming_gateway.settings import GatewaySettings
from whisper_normalizer.english import EnglishTextNormalizer

pytestmark = pytest.mark.stack

MODEL = "universal-streaming-english"
SAID = "you don't mean that you thought me so silly"
SILENCE_SECONDS = 1.5
normal = EnglishTextNormalizer()


@pytest.fixture(scope="module")
def utterance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.8 s of speech, then silence: a turn that ends by itself."""
    with wave.open(str(AUDIO / "en_libri_1688-142285-0002.wav")) as recording:
        said = recording.readframes(recording.getnframes())
    path = tmp_path_factory.mktemp("utterance") / "utterance.wav"
    with wave.open(str(path), "wb") as longer:
        longer.setnchannels(1)
        longer.setsampwidth(2)
        longer.setframerate(RATE)
        longer.writeframes(said + bytes(2 * round(RATE * SILENCE_SECONDS)))
    return path


async def heard(stack: LocalStack, client: Any, url: str, audio: Path, **parameters: Any) -> Told:
    """What a client tells of a session that goes well."""
    told = await run_client(client, url, key=stack.api_key, audio=audio, speed=1.0, **parameters)
    assert told.code == 0, told.log
    assert told.of("error") == []
    return told


def right(finals: list[str]) -> bool:
    """Whether one turn says what was said, formatted; of nine words one may be another."""
    assert len(finals) == 1, finals
    return jiwer.wer(normal(SAID), normal(finals[0])) <= 1 / 9 and finals[0][0].isupper()


@pytest.mark.check(100)
async def test_the_example_client(local_stack: LocalStack, utterance: Path) -> None:
    root = local_stack.url.removesuffix("/v3/ws")
    told = await heard(local_stack, EXAMPLE, root, utterance, speech_model=MODEL)
    assert right(told.finals(formatted=True))
    assert told.one("completed")


@pytest.mark.check(101)
@pytest.mark.parametrize("client", [PYTHON_SDK, PYTHON_SDK_ASYNC], ids=lambda client: client.name)
async def test_the_python_sdk(local_stack: LocalStack, utterance: Path, client: Any) -> None:
    host = local_stack.url.removesuffix("/v3/ws")
    parameters = {"sample_rate": RATE, "speech_model": MODEL, "format_turns": True}
    told = await heard(local_stack, client, host, utterance, **parameters)
    assert right(told.finals(formatted=True))
    assert told.one("termination")["audio"] == 4
    assert told.one("disconnected")["seconds"] < 3


@pytest.mark.check(104)
async def test_livekit(local_stack: LocalStack, utterance: Path) -> None:
    base = local_stack.url.removesuffix("/v3/ws")
    told = await heard(local_stack, LIVEKIT, base, utterance, model=MODEL, format_turns=True)
    assert right(told.texts("final_transcript"))
    assert told.of("interim_transcript")


@pytest.mark.check(105)
async def test_pipecat(local_stack: LocalStack, utterance: Path) -> None:
    told = await heard(local_stack, PIPECAT, local_stack.url, utterance, model=MODEL)
    finals = told.of("transcription")
    assert all(final["finalized"] and final["formatted"] for final in finals)
    assert right([" ".join(final["text"] for final in finals)])
    assert told.of("voice_stopped")


@pytest.mark.check(102)
async def test_the_javascript_sdk_over_tls(local_stack: LocalStack, utterance: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    async with secure_gateway(local_stack, authority, tmp_path) as url:
        told = await run_client(
            JAVASCRIPT_SDK,
            url,
            key=local_stack.api_key,
            audio=utterance,
            speed=1.0,
            authority=tmp_path / "authority.pem",
            speechModel=MODEL,
            formatTurns=True,
        )
    assert told.code == 0, told.log
    assert told.of("error") == told.of("warning") == []
    assert right(told.finals(formatted=True))
    assert told.one("connected")["seconds"] < 1
    assert told.one("disconnected")["seconds"] < 5


@contextlib.asynccontextmanager
async def secure_gateway(stack: LocalStack, authority: trustme.CA, folder: Path) -> AsyncIterator[str]:
    """Another gateway before the load balancer of the same stack, with TLS; its URL."""
    served = authority.issue_cert("127.0.0.1")
    (folder / "certificate.pem").write_bytes(b"".join(part.bytes() for part in served.cert_chain_pems))
    served.private_key_pem.write_to_path(folder / "key.pem")
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": 0,
        "metrics_port": 0,
        "models": json.dumps([{"speech_model": MODEL, "route": "en-default"}]),
        "asr_endpoint": f"127.0.0.1:{50050 + stack.offset}",
        "tls_cert_file": folder / "certificate.pem",
        "tls_key_file": folder / "key.pem",
        "drain_seconds": 0,
    }
    async with run_gateway(GatewaySettings(**settings)) as running:
        yield f"wss://127.0.0.1:{running.port}/v3/ws"

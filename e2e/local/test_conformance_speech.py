"""Checks of the protocol that need real speech: the same recording in other encodings and at other rates."""

import asyncio
import io
import json
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile
import soxr
from running_stack import AUDIO, RATE, LocalStack
from streamingstack_bench.wire_client import wire_client
from whisper_normalizer.english import EnglishTextNormalizer

pytestmark = pytest.mark.stack

RECORDING = AUDIO / "en_derived_pauses_1688.wav"
STEP_MS = 100
normal = EnglishTextNormalizer()


def reference() -> str:
    """What the recording says."""
    entries = map(json.loads, (AUDIO / "manifest.jsonl").read_text().splitlines())
    return next(str(entry["reference"]) for entry in entries if entry["file"] == RECORDING.name)


def encoded(rate: int, subtype: str) -> bytes:
    """The recording at another rate, as raw samples."""
    samples, own = soundfile.read(RECORDING, dtype="int16")
    assert own == RATE
    raw = io.BytesIO()
    soundfile.write(raw, np.asarray(soxr.resample(samples, own, rate)), rate, format="RAW", subtype=subtype)
    return raw.getvalue()


async def error_rate(stack: LocalStack, rate: int, encoding: str, audio: bytes) -> float:
    """Word error rate of a whole session, in percent."""
    query: dict[str, Any] = {"speech_model": "universal-streaming-english", "sample_rate": rate, "encoding": encoding}
    step = len(audio) * STEP_MS // round(1000 * soundfile.info(RECORDING).duration)
    async with wire_client(stack.url, key=stack.api_key, **query) as client:
        client.rules.audio_ms = round(1000 * soundfile.info(RECORDING).duration) + 1
        reading = asyncio.create_task(client.rest(120))
        for start in range(0, len(audio), step // 2 * 2):
            await client.connection.send(audio[start : start + step // 2 * 2])
        await client.say("Terminate")
        assert await reading == (1000, "Session Ended")
    return 100 * float(jiwer.wer(normal(reference()), normal(" ".join(client.finals))))


@pytest.mark.check(62)
async def test_other_encodings_and_rates_are_heard_as_well(local_stack: LocalStack) -> None:
    kinds = [(RATE, "pcm_s16le", "PCM_16"), (8000, "pcm_mulaw", "ULAW"), (48_000, "pcm_s16le", "PCM_16")]
    usual, *others = await asyncio.gather(
        *(error_rate(local_stack, rate, encoding, encoded(rate, subtype)) for rate, encoding, subtype in kinds)
    )
    assert usual <= 15
    assert [other for other in others if abs(other - usual) > 5] == []

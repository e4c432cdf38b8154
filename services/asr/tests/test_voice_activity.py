"""Silero over many streams at once: each hears what it would hear alone, bit for bit."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streaming_asr.engine import SAMPLE_RATE, VAD_FRAME, Pcm
from streaming_asr.vad import SileroModel, SileroVoiceActivity


@pytest.fixture
def voice(hearing_models: Path) -> SileroVoiceActivity:
    return SileroVoiceActivity(hearing_models / "silero_vad.onnx")


def pieces(pcm: Pcm, frames: int) -> list[Pcm]:
    whole = pcm[: len(pcm) // VAD_FRAME * VAD_FRAME]
    return [whole[first : first + frames * VAD_FRAME] for first in range(0, len(whole), frames * VAD_FRAME)]


async def heard(voice: SileroVoiceActivity, pcm: Pcm, frames: int) -> list[float]:
    stream = voice.open(0)
    return [p for piece in pieces(pcm, frames) for p in await stream.probabilities(piece)]


async def test_speech_is_told_from_silence_and_noise(voice: SileroVoiceActivity, spoken: list[Pcm]) -> None:
    noise = np.random.default_rng(0).normal(0, 300, SAMPLE_RATE).astype(np.int16)
    assert max(await heard(voice, spoken[0], 8)) > 0.9
    assert max(await heard(voice, np.zeros(SAMPLE_RATE, np.int16), 8)) < 0.1
    assert max(await heard(voice, noise, 8)) < 0.4


async def test_neighbours_and_pieces_change_no_bit(voice: SileroVoiceActivity, spoken: list[Pcm]) -> None:
    starts = [0, 3200, 8000, 16000, 20000, 24000, 28000, 32000, 40000]
    clips = [spoken[n % len(spoken)][start : start + 2 * SAMPLE_RATE] for n, start in enumerate(starts)]
    alone = [await heard(voice, clip, 3) for clip in clips]
    for company in (2, 3, 5, 8, 9):
        together = await asyncio.gather(
            *(
                heard(voice, clip, frames)
                for clip, frames in zip(clips[:company], [3, 1, 8, 2, 5, 3, 30, 4, 7], strict=False)
            )
        )
        assert together == alone[:company]


async def test_eight_streams_at_once_share_the_calls_of_the_model(
    voice: SileroVoiceActivity, spoken: list[Pcm], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    step = SileroModel.step

    def counted(model: SileroModel, frames: Any, states: Any) -> Any:
        calls.append(len(frames))
        return step(model, frames, states)

    monkeypatch.setattr(SileroModel, "step", counted)
    frames = 30
    clip = spoken[0][: frames * VAD_FRAME]
    await asyncio.gather(*(heard(voice, clip, 3) for _ in range(8)))
    assert sum(calls) == 8 * frames
    assert len(calls) <= 2 * frames


async def test_a_part_of_a_frame_is_an_error(voice: SileroVoiceActivity) -> None:
    with pytest.raises(ValueError, match="not a multiple of 512"):
        await voice.open(0).probabilities(np.zeros(500, np.int16))


async def test_no_audio_is_no_frame(voice: SileroVoiceActivity) -> None:
    assert list(await voice.open(0).probabilities(np.zeros(0, np.int16))) == []


def test_a_missing_model_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="set VAD_MODEL"):
        SileroVoiceActivity(tmp_path / "silero_vad.onnx")


async def test_a_stream_that_left_does_not_disturb_the_others(voice: SileroVoiceActivity, spoken: list[Pcm]) -> None:
    clip = spoken[0][: 20 * VAD_FRAME]
    alone = await heard(voice, clip, 20)
    leaving = asyncio.create_task(heard(voice, clip, 20))
    staying = asyncio.create_task(heard(voice, clip, 20))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == alone

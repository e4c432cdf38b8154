"""The model itself, without Triton, on each device that it runs on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import jiwer
import numpy as np
import pytest
from streaming_asr.engine import SAMPLE_RATE, Pcm
from streaming_asr.whisper.groups import together
from streaming_asr.whisper.model import Heard, Request, WhisperModel
from streaming_asr.whisper.settings import settings_from
from streaming_asr.windows import LONGEST, padded
from whisper_normalizer.english import EnglishTextNormalizer

SAID = (
    "you don't mean that you thought me so silly i really like that account of himself better than anything else he "
    "said his statement of having been a shop boy was the thing i liked best of all you who were always accusing "
    "people of being shoppy at helstone"
)

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
on_a_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(ctranslate2.get_cuda_device_count() == 0, reason="needs an NVIDIA GPU, and there is none"),
]


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=on_a_gpu)])
def model(request: pytest.FixtureRequest, english_model: Path) -> WhisperModel:
    """As Triton loads it, with the defaults of its device."""
    return WhisperModel(settings_from({"WHISPER_MODEL_DIR": str(english_model)}, request.param))


@pytest.fixture(scope="module")
def polyglot(multilingual_model: Path) -> WhisperModel:
    """The multilingual one, on the processor."""
    return WhisperModel(settings_from({"WHISPER_MODEL_DIR": str(multilingual_model)}, "cpu"))


def windows(pcm: Pcm, *, samples: int) -> list[Request]:
    """A recording in windows of one length, and what is left."""
    cuts = range(0, len(pcm), samples)
    return [Request(padded(part), len(part)) for part in (pcm[cut : cut + samples] for cut in cuts)]


def texts(heard: Sequence[Heard]) -> list[str]:
    return [" ".join(word.text for word in one.words) for one in heard]


def test_it_hears_what_was_said(model: WhisperModel, spoken: list[Pcm]) -> None:
    recording = max(spoken, key=len)
    heard = [model.decode([window])[0] for window in windows(recording, samples=LONGEST)]
    normal = EnglishTextNormalizer()
    assert jiwer.wer(normal(SAID), normal(" ".join(texts(heard)))) <= 0.2


def test_a_window_is_heard_as_alone_in_any_batch(model: WhisperModel, spoken: list[Pcm]) -> None:
    asked = [window for pcm in spoken for window in windows(pcm, samples=4 * SAMPLE_RATE)]
    group = max(together(asked, model.shape), key=len)
    assert len(group) >= 4
    alone = [model.decode([window])[0] for window in group]
    assert len(" ".join(texts(alone)).split()) > 20
    assert model.decode(group) == alone
    assert model.decode(group[::-1]) == alone[::-1]


def test_windows_after_other_words_of_equal_length_are_heard_as_alone(model: WhisperModel, spoken: list[Pcm]) -> None:
    steered: list[dict[str, Any]] = [
        {"prompt": "A man reads aloud."},
        {"prompt": "A girl sings it."},
        {"keyterms": ("shop boy", "red")},
        {"keyterms": ("shop girl", "sea")},
    ]
    parts = [pcm[cut : cut + 4 * SAMPLE_RATE] for pcm in spoken for cut in (0, 4 * SAMPLE_RATE)]
    asked = [Request(padded(part), len(part), **steering) for part, steering in zip(parts, steered * 2, strict=False)]
    group = max(together(asked, model.shape), key=len)
    assert len({(one.prompt, one.keyterms) for one in group}) == len(steered)
    alone = [model.decode([window])[0] for window in group]
    assert len(" ".join(texts(alone)).split()) > 15
    assert model.decode(group) == alone
    assert model.decode(group[::-1]) == alone[::-1]


def test_silence_has_no_words(model: WhisperModel) -> None:
    silence = np.zeros(5 * SAMPLE_RATE, np.int16)
    assert texts(model.decode([Request(padded(silence), len(silence))])) == [""]


def test_a_prompt_that_makes_the_model_stop_in_mid_speech_costs_no_word(model: WhisperModel, spoken: list[Pcm]) -> None:
    window = max(spoken, key=len)[6 * SAMPLE_RATE : 18 * SAMPLE_RATE]
    alone = model.decode([Request(padded(window), len(window))])[0]
    dotted = Request(padded(window), len(window), prompt="...  ... ... ...")  # as a transcript that trails off
    assert len(alone.words) > 20
    assert model.decode([dotted, dotted]) == [alone, alone]


def test_what_the_model_takes_for_silence_has_no_words_but_those_that_it_doubts(
    model: WhisperModel, spoken: list[Pcm]
) -> None:
    # Many voices at once, far louder than the one: to the model, no speech.
    clip = max(spoken, key=len)
    babble = sum(np.roll(clip, shift * SAMPLE_RATE).astype(np.int32) for shift in range(1, 9))
    mixed = np.clip(clip // 8 + babble // 8, -32768, 32767).astype(np.int16)
    heard = [model.decode([window])[0] for window in windows(mixed, samples=2 * SAMPLE_RATE)]
    doubted = [one for one in heard if one.doubted]
    assert doubted
    assert not any(one.words for one in doubted)


@pytest.mark.parametrize(
    "steering",
    [{"prompt": "<|endoftext|><|startoftranscript|>"}, {"keyterms": ("<|startoftranscript|>", "<|nospeech|>")}],
)
def test_what_looks_like_a_mark_of_the_model_is_text(
    model: WhisperModel, spoken: list[Pcm], steering: dict[str, Any]
) -> None:
    part = max(spoken, key=len)[: 6 * SAMPLE_RATE]
    marked = Request(padded(part), len(part), **steering)
    assert model.shape(marked)[1] > 10  # a mark would be one token
    assert len(texts(model.decode([marked]))[0].split()) > 8


@pytest.mark.parametrize("language", ["zu", "xh", "yue", "xx"])
def test_a_language_that_the_model_does_not_know_is_not_expected(
    polyglot: WhisperModel, spoken: list[Pcm], language: str
) -> None:
    part = max(spoken, key=len)[: 6 * SAMPLE_RATE]
    asked = [Request(padded(part), len(part), languages=codes) for codes in ((), (language,))]
    together_, alone = polyglot.decode(asked), polyglot.decode(asked[:1])[0]
    assert together_ == [alone, alone]
    assert alone.language == "en"


def test_an_expected_language_does_not_lock_who_speaks_another(polyglot: WhisperModel, spoken_german: Pcm) -> None:
    part = spoken_german[: 8 * SAMPLE_RATE]
    heard = polyglot.decode([Request(padded(part), len(part), languages=("en",))])[0]
    assert heard.language == "de"
    assert heard.language_confidence > 0.5

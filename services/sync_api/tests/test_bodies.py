"""Forms, configs, recordings and the choice of a model: tables, and any chunking."""

import io
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scripted_sync_api import ENGLISH, MULTILINGUAL, UNIVERSAL_3
from stack_model.catalogue import parse_models
from streaming_sync_api.audio import Lengths, read_recording
from streaming_sync_api.choice import Models, steering
from streaming_sync_api.config import TranscribeConfig, read_config
from streaming_sync_api.form import FormReader
from streaming_sync_api.problems import SyncProblem

LENGTHS = Lengths(80, 120_000)


def part(name: str, content: bytes, kind: str = "audio/wav") -> bytes:
    head = f'--bound\r\nContent-Disposition: form-data; name="{name}"; filename="f"\r\nContent-Type: {kind}\r\n\r\n'
    return head.encode() + content + b"\r\n"


FORM = "multipart/form-data; boundary=bound"
END = b"--bound--\r\n"


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=60))
def test_a_form_is_the_same_however_it_is_cut(audio: bytes, cuts: list[int]) -> None:
    body = part("other", b"ignored") + part("audio", audio) + part("config", b"{}", "application/json") + END
    reader = FormReader(FORM, len(body))
    for cut in cuts:
        reader.feed(body[:cut])
        body = body[cut:]
    reader.feed(body)
    form = reader.finish()
    assert form.audio is not None
    assert (form.audio.read(), form.audio_type, form.config) == (audio, "audio/wav", b"{}")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b"{}", 400),
        ("multipart/form-data", b"", 400),
        (FORM, b"no boundary at all", 400),
        (FORM, part("audio", b"x"), 400),
        (FORM, part("audio", b"x") + part("audio", b"y") + END, 400),
        (FORM, part("other", b"x") + END, 400),
        (FORM, part("audio", bytes(2000)) + END, 413),
        (FORM, b"--bound\r\n" + b"x" * 900, 400),
        ("multipart/form-data; boundary=" + "b" * 257, b"", 400),
    ],
)
def test_what_is_no_form_is_refused(content_type: str, body: bytes, status: int) -> None:
    def read() -> None:
        reader = FormReader(content_type, 1000)
        reader.feed(body)
        reader.finish()

    with pytest.raises(SyncProblem) as refused:
        read()
    assert refused.value.status == status


def test_a_form_has_at_most_a_hundred_parts() -> None:
    reader = FormReader(FORM, 10_000)
    reader.feed(b"--bound\r\n\r\n\r\n" * 100)
    with pytest.raises(SyncProblem, match="bad_request") as refused:
        reader.feed(part("audio", b"x"))
    assert "more than 100 parts" in refused.value.detail


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b'{"prompt": "' + b"x" * 6001 + b'"}', "config.prompt"),
        (b'{"prompt": 5}', "config.prompt"),
        (b'{"prompt": "\\ud800"}', "config"),  # half of a surrogate pair is no text
        (b'{"keyterms_prompt": "one"}', "config.keyterms_prompt"),
        (b'{"keyterms_prompt": [' + b",".join([b'"x"'] * 101) + b"]}", "config.keyterms_prompt"),
        (b'{"word_boost": ["' + b"x" * 8001 + b'"]}', "config.word_boost"),
        (b'{"language_code": "English"}', "config.language_code"),
        (b'{"language_codes": ["en", "e"]}', "config.language_codes"),
        (b'{"sample_rate": "fast"}', "config.sample_rate"),
        (b'{"channels": [1]}', "config.channels"),
        (b"\xff\xfe", "config"),
    ],
)
def test_a_field_beyond_its_limits_is_named(text: bytes, field: str) -> None:
    with pytest.raises(SyncProblem) as refused:
        read_config(text)
    assert refused.value.status == 400
    assert refused.value.detail.startswith(f"{field}:")


@given(st.lists(st.text("ab ", max_size=9000), max_size=4) | st.text("ab ", max_size=20_000))
def test_a_conversation_is_trimmed_oldest_first_and_its_end_is_always_told(said: list[str] | str) -> None:
    turns = [said] if isinstance(said, str) else said
    whole = " ".join(turn for turn in turns if turn)
    assert TranscribeConfig(conversation_context=said).context == whole[-1750:]


def test_a_conversation_of_one_long_turn_is_told_by_its_end() -> None:
    assert TranscribeConfig(conversation_context="x" * 16_000 + "y").context == "x" * 1749 + "y"


def test_a_config_says_what_a_recogniser_is_told() -> None:
    said = TranscribeConfig(
        keyterms_prompt=[" Fandango ", "", "x" * 51], conversation_context=["a" * 15_991, "older", "newer"], prompt="p"
    )
    assert said.keyterms == ("Fandango",)
    assert said.context.endswith("a older newer p")
    assert len(said.context) == len(TranscribeConfig(prompt="x" * 6000).context) == 1750
    assert TranscribeConfig(language_code="es", prompt="p").languages == ()
    assert TranscribeConfig(language_code="es", language_codes=["fr"]).languages == ("fr",)
    assert TranscribeConfig(word_boost=["old"], keyterms_prompt=["new"]).keyterms == ("new",)


ALL = (ENGLISH, MULTILINGUAL, UNIVERSAL_3)


@pytest.mark.parametrize(
    ("deployed", "config", "route", "steered"),
    [
        (ALL, {}, "en-default", ()),
        (ALL, {"language_code": "en"}, "en-default", ()),
        (ALL, {"language_code": "es"}, "ml-default", ("es",)),
        (ALL, {"language_codes": ["en", "es"]}, "ml-default", ("en", "es")),
        (ALL, {"language_codes": ["en", "tr"]}, "u3-pro", ("en", "tr")),
        (ALL, {"language_codes": ["multi"]}, "u3-pro", ()),
        (ALL, {"prompt": "Law."}, "u3-pro", ()),
        (ALL, {"language_code": "xx", "prompt": "Law."}, "u3-pro", ()),
        ((ENGLISH,), {"prompt": "Law."}, "en-default", ()),
        ((MULTILINGUAL, UNIVERSAL_3), {}, "ml-default", ()),
        ((MULTILINGUAL, {**UNIVERSAL_3, "default": True}), {}, "u3-pro", ()),
        ((ENGLISH,), {"language_codes": ["en", "es"]}, "en-default", ()),
    ],
)
def test_a_recording_goes_to_the_model_that_understands_it(
    deployed: Any, config: dict[str, Any], route: str, steered: tuple[str, ...]
) -> None:
    said = TranscribeConfig(**config)
    model = Models(tuple(parse_models(list(deployed)))).choose(said)
    assert (model.route, steering(model, said)) == (route, steered)


def test_no_other_language_s_model_is_taken_instead() -> None:
    models = Models(tuple(parse_models([ENGLISH])))
    with pytest.raises(SyncProblem, match="bad_request") as refused:
        models.choose(TranscribeConfig(language_code="es"))
    assert "choose of en" in refused.value.detail


def tone(rate: int, channels: int, seconds: float = 1.0) -> np.ndarray[Any, Any]:
    times = np.arange(round(rate * seconds)) / rate
    left = 8000 * np.sin(2 * np.pi * 440 * times)
    return np.stack([left, -left / 2][:channels], axis=1).astype(np.int16)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "PCM"])
def test_every_rate_and_container_becomes_the_same_sound(rate: int, channels: int, kind: str) -> None:
    samples, file = tone(rate, channels), io.BytesIO()
    config = TranscribeConfig(sample_rate=rate, channels=channels)
    if kind == "PCM":
        file.write(samples.astype("<i2").tobytes())
    else:
        soundfile.write(file, samples, rate, "PCM_16", format=kind)
    file.seek(0)
    recording = read_recording(file, "audio/pcm" if kind == "PCM" else "audio/wav; x=y", config, LENGTHS)
    assert recording.duration_ms == 1000
    heard = np.frombuffer(recording.pcm, "<i2").astype(float)
    assert abs(len(heard) - 16_000) <= 1
    expected = tone(16_000, 2).mean(axis=1) if channels == 2 else tone(16_000, 1)[:, 0]
    middle = slice(2000, 14_000)
    assert np.abs(heard[middle] - expected[middle]).max() < 120


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_wav_that_was_streamed_out_knows_no_length_and_is_read_to_its_end(size: int) -> None:
    file = io.BytesIO()
    soundfile.write(file, tone(16_000, 1), 16_000, "PCM_16", format="WAV")
    content = bytearray(file.getvalue())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = size.to_bytes(4, "little")
    recording = read_recording(io.BytesIO(bytes(content)), "audio/wav", TranscribeConfig(), LENGTHS)
    assert recording.duration_ms == 1000


@pytest.mark.parametrize("content", [b"", b"RIFF", b"RIFF\x24\x00\x00\x00WAVEfmt ", bytes(5000)])
def test_what_is_no_wav_is_bad_audio(content: bytes) -> None:
    with pytest.raises(SyncProblem) as refused:
        read_recording(io.BytesIO(content), "audio/wav", TranscribeConfig(), LENGTHS)
    assert (refused.value.status, refused.value.code) == (400, "bad_audio")

"""Any WAV becomes mono PCM at 16 kHz; what is no usable WAV is refused in one line."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from streamingstack_cli.errors import CommandError
from streamingstack_cli.recording import RATE, open_recording


def tone(rate: int, channels: int, seconds: float = 0.5) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(rate * seconds)) / rate)
    return np.repeat(wave[:, None], channels, axis=1)


def heard(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return np.frombuffer(b"".join(open_recording(path).chunks(800)), "<i2")


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count_is_the_same_sound(tmp_path: Path, rate: int, channels: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate, channels), rate, subtype="PCM_16")
    samples = heard(path) / 32768
    assert abs(len(samples) - RATE // 2) <= 2
    inner = samples[800:-800]
    assert np.max(np.abs(inner - 0.5 * np.sin(2 * np.pi * 440 * np.arange(800, 800 + len(inner)) / RATE))) < 0.02


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_any_sample_width_is_taken(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(RATE, 1), RATE, subtype=subtype)
    assert np.max(np.abs(heard(path) / 32768 - tone(RATE, 1)[:, 0])) < 0.02


def test_sixteen_kilohertz_mono_passes_bit_by_bit(tmp_path: Path) -> None:
    path, samples = tmp_path / "a.wav", np.array([0, 1, -1, 32767, -32768, 123], np.int16)
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    assert heard(path).tolist() == samples.tolist()


def test_chunks_are_of_one_size_and_the_last_is_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(2000, np.int16), RATE)
    assert [len(chunk) for chunk in open_recording(path).chunks(800)] == [1600, 1600, 800]


def wav(data: bytes, *, data_size: int | None = None, tag: int = 1, bits: int = 16) -> bytes:
    """A WAV file by hand."""
    size = len(data) if data_size is None else data_size
    form = struct.pack("<HHIIHH", tag, 1, RATE, RATE * bits // 8, bits // 8, bits)
    body = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size) + data
    return b"RIFF" + struct.pack("<I", min(4 + len(body), 0xFFFFFFFF)) + b"WAVE" + body


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"hello, this is text", "is not a WAV file"),
        (b"ID3\x04" + bytes(100), "is not a WAV file"),
        (wav(bytes(3200), data_size=6400), "is truncated: its header promises 6400 bytes of audio, 3200 are there"),
        (wav(bytes(3200))[:20], "is truncated: it ends before its audio"),
        (wav(bytes(3200))[:9], "is not a WAV file"),
        (wav(b""), "holds no audio"),
        (wav(bytes(3200), tag=7, bits=8), "holds ULAW, not PCM"),
        (wav(bytes(3200), tag=0x5555), "cannot be read"),
    ],
)
def test_an_unusable_file_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=says) as refused:
        open_recording(path)
    assert refused.value.status == 2
    assert str(refused.value).startswith(f"{path} ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["missing.wav", "."])
def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        open_recording(tmp_path / name)


def test_a_file_written_to_a_pipe_knows_no_size_and_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "piped.wav"
    path.write_bytes(wav(bytes(3200), data_size=0xFFFFFFFF))
    assert len(heard(path)) == 1600

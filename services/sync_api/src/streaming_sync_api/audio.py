"""A recording as it is sent, to what recognisers take: mono, 16 kHz, s16le."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
import soxr
from asr_contract.clock import SAMPLE_RATE
from numpy.typing import NDArray

from streaming_sync_api.config import TranscribeConfig
from streaming_sync_api.problems import SyncProblem, bad_audio, too_large, unsupported

RATES = (8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_WAV_TYPES = ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave")
_PCM_TYPE = "audio/pcm"
_LONGEST_HEADER = 4096

Samples = NDArray[np.int16]


@dataclass(frozen=True)
class Recording:
    """`pcm` is mono s16le at 16 kHz; `duration_ms` is the length of what was sent."""

    pcm: bytes
    duration_ms: int


@dataclass(frozen=True)
class Lengths:
    """How short and how long a recording may be, in milliseconds."""

    shortest_ms: int
    longest_ms: int

    def check(self, frames: int, rate: int) -> int:
        """The length in milliseconds; raises SyncProblem 400 or 413."""
        duration = 1000 * frames / rate
        if duration < self.shortest_ms:
            detail = f"audio: {duration:.0f} ms; send at least {self.shortest_ms} ms"
            raise SyncProblem(400, "audio_too_short", detail)
        if duration > self.longest_ms:
            raise too_large(f"audio: {duration / 1000:.1f} s; send at most {self.longest_ms / 1000:g} s")
        return round(duration)


def read_recording(audio: io.BytesIO, content_type: str, config: TranscribeConfig, lengths: Lengths) -> Recording:
    """The recording of a request, by the type of its part. Blocks; raises SyncProblem 400, 413 or 415."""
    kind = content_type.partition(";")[0].strip().lower()
    readers: dict[str, Callable[[], tuple[Samples, int, int]]] = {
        _PCM_TYPE: lambda: _read_pcm(audio, config, lengths),
        **dict.fromkeys(_WAV_TYPES, lambda: _read_wav(audio, lengths)),
    }
    if kind not in readers:
        raise unsupported("audio: its type must be audio/wav (16-bit PCM) or audio/pcm; convert it first")
    samples, rate, duration_ms = readers[kind]()
    mono = samples[:, 0] if samples.shape[1] == 1 else _mixed_down(samples)
    heard = mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    return Recording(np.ascontiguousarray(heard, dtype="<i2").tobytes(), duration_ms)


def _read_wav(audio: io.BytesIO, lengths: Lengths) -> tuple[Samples, int, int]:
    _open_end(audio)
    try:
        with soundfile.SoundFile(_Seekable(audio)) as wav:
            _check_kind(wav)
            _check_shape(wav.samplerate, wav.channels)
            duration_ms = lengths.check(wav.frames, wav.samplerate)
            return wav.read(dtype="int16", always_2d=True), wav.samplerate, duration_ms
    except soundfile.SoundFileError:
        raise bad_audio("audio: not a WAV file; send 16-bit PCM in a WAV container, or audio/pcm") from None


class _Seekable:
    """As the reader seeks: a header may lead it to before the begin, which BytesIO raises for and the reader cannot
    catch. It is told where it is then, and takes the file for broken."""

    def __init__(self, audio: io.BytesIO) -> None:
        self._audio = audio
        self.readinto, self.tell = audio.readinto, audio.tell

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """To the begin at the least."""
        return self._audio.seek(max(0, offset) if whence == io.SEEK_SET else offset, whence)


def _open_end(audio: io.BytesIO) -> None:
    """A recording that is sent while it is made has a header from before its length was known, often with a length of
    0; all ones are the sign for "to the end" that the reader knows."""
    with audio.getbuffer() as content:
        at = bytes(content[:_LONGEST_HEADER]).find(b"data")
        if at >= 0 and content[at + 4 : at + 8] == bytes(4):
            content[at + 4 : at + 8] = b"\xff" * 4


def _check_kind(wav: Any) -> None:
    if wav.format not in ("WAV", "WAVEX", "RF64") or wav.subtype != "PCM_16":
        raise unsupported("audio: not 16-bit PCM in a WAV container; convert it to that")


def _check_shape(rate: int, channels: int) -> None:
    if rate not in RATES:
        raise unsupported(f"audio: {rate} Hz; resample it to one of {', '.join(map(str, RATES))}")
    if channels not in (1, 2):
        raise unsupported(f"audio: {channels} channels; mix it down to one or two")


def _read_pcm(audio: io.BytesIO, config: TranscribeConfig, lengths: Lengths) -> tuple[Samples, int, int]:
    rate, channels = config.sample_rate, config.channels
    if rate is None or channels is None:
        raise bad_audio("config.sample_rate, config.channels: both are needed for audio/pcm")
    _check_shape(rate, channels)
    size = audio.getbuffer().nbytes
    if size % (2 * channels):
        raise bad_audio(f"audio: {size} bytes are no whole frames of {channels} 16-bit samples")
    frames = size // (2 * channels)
    duration_ms = lengths.check(frames, rate)
    return np.frombuffer(audio.getbuffer(), "<i2").reshape(frames, channels), rate, duration_ms


def _mixed_down(stereo: Samples) -> Samples:
    mixed: Samples = ((stereo[:, 0].astype(np.int32) + stereo[:, 1]) >> 1).astype(np.int16)
    return mixed

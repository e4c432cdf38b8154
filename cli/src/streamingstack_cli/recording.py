"""Any WAV file as mono PCM at 16 kHz, piece by piece: a recording of hours takes no memory."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from streamingstack_cli.errors import CommandError

RATE = 16_000
_SUBTYPES = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")
# What writers to a pipe put where they cannot know the size.
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)
_BLOCK = 1 << 15


@dataclass(frozen=True)
class Recording:
    """A WAV file that can be read; `frames` at `rate` in `channels`."""

    path: Path
    rate: int
    channels: int
    frames: int

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.frames / self.rate

    def chunks(self, samples: int) -> Iterator[bytes]:
        """Mono s16le at 16 kHz in pieces of `samples`; the last may be shorter. Raises CommandError."""
        waiting = b""
        try:
            for pcm in self._resampled():
                waiting += pcm
                while len(waiting) >= samples * 2:
                    yield waiting[: samples * 2]
                    waiting = waiting[samples * 2 :]
        except OSError as failure:
            raise _refused(self.path, f"cannot be read any more: {failure.strerror}") from None
        except soundfile.LibsndfileError as failure:
            raise _refused(self.path, f"cannot be read any more: {failure.error_string}") from None
        if waiting:
            yield waiting

    def _resampled(self) -> Iterator[bytes]:
        resampler = soxr.ResampleStream(self.rate, RATE, 1, dtype="float32")
        with soundfile.SoundFile(self.path) as file:
            for block in file.blocks(_BLOCK, dtype="float32", always_2d=True):
                mono = np.ascontiguousarray(block.mean(axis=1, dtype=np.float32))
                yield _s16le(mono if self.rate == RATE else resampler.resample_chunk(mono))
        if self.rate != RATE:
            yield _s16le(resampler.resample_chunk(np.zeros(0, np.float32), last=True))


def _s16le(samples: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]") -> bytes:
    scaled = np.rint(samples * 32768.0)
    return bytes(np.clip(scaled, -32768, 32767).astype("<i2").tobytes())


def open_recording(path: Path) -> Recording:
    """Look at a WAV file; raises CommandError with status 2 that says what is wrong with it."""
    try:
        if path.stat().st_size == 0:
            raise _refused(path, "is empty")
        _refuse_truncated(path)
        with soundfile.SoundFile(path) as file:
            if file.subtype not in _SUBTYPES:
                raise _refused(path, f"holds {file.subtype}, not PCM; convert it: ffmpeg -i IN -c:a pcm_s16le OUT.wav")
            found = Recording(path, file.samplerate, file.channels, file.frames)
    except OSError as failure:
        raise _refused(path, f"cannot be read: {failure.strerror}") from None
    except soundfile.LibsndfileError as refused:
        raise _refused(path, f"cannot be read: {refused.error_string}") from None
    if not found.frames:
        raise _refused(path, "holds no audio")
    return found


def _refuse_truncated(path: Path) -> None:
    """Follow the chunks of a RIFF file to its data; libsndfile would take what is there without a word."""
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] not in (b"RIFF", b"RF64") or head[8:] != b"WAVE":
            raise _refused(path, "is not a WAV file; convert it: ffmpeg -i IN -c:a pcm_s16le OUT.wav")
        size = path.stat().st_size
        while len(header := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", header)
            there = size - file.tell()
            if name == b"data":
                if head[:4] == b"RIFF" and length not in _UNKNOWN_SIZES and length > there:
                    raise _refused(
                        path, f"is truncated: its header promises {length} bytes of audio, {there} are there"
                    )
                return
            file.seek(length + length % 2, 1)
    raise _refused(path, "is truncated: it ends before its audio")


def _refused(path: Path, why: str) -> CommandError:
    return CommandError(f"{path} {why}", 2)

"""Recorded speech in the client's compressed encodings, by FFmpeg's encoders."""

import functools
import io
import wave
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

RECORDING = Path(__file__).parents[3] / "examples" / "audio" / "en_derived_pauses_1688.wav"


@functools.cache
def spoken() -> bytes:
    """Ten seconds of s16le at 16 kHz."""
    with wave.open(str(RECORDING)) as recording:
        samples: bytes = recording.readframes(160_000)
        return samples


@functools.cache
def encoded(codec: str, container: str, rate: int, layout: str = "mono") -> tuple[bytes, tuple[bytes, ...]]:
    """The whole file, and its packets."""
    out, packets = io.BytesIO(), []
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate)
        assert isinstance(stream, AudioStream)
        stream.layout = layout
        resampler = AudioResampler(format=stream.format, layout=layout, rate=rate)
        frame = AudioFrame.from_ndarray(np.frombuffer(spoken(), dtype="<i2")[None, :], format="s16", layout="mono")
        frame.sample_rate = 16_000
        for piece in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(piece):
                packets.append(bytes(packet))
                file.mux(packet)
    return out.getvalue(), tuple(packets)

"""A client that speaks a recording to a gateway behind an ingress, and what it heard."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jiwer
import soundfile
from assemblyai.streaming.v3 import (
    BeginEvent,
    StreamingClient,
    StreamingClientOptions,
    StreamingEvents,
    StreamingParameters,
    TerminationEvent,
    TurnEvent,
)
from whisper_normalizer.english import EnglishTextNormalizer

ENGLISH = "universal-streaming-english"
MULTILINGUAL = "universal-streaming-multilingual"
PRO = "universal-3-5-pro"
RATE = 16_000
normal = EnglishTextNormalizer()
# What tiny.en makes of the recording on any machine; the benchmarks say how good it is.
MOST_WRONG = 0.15
_PATIENCE_SECONDS = 90.0
_CHUNK = RATE // 10 * 2


class Listener:
    """The official SDK's handlers."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.finals: dict[int, str] = {}
        self.errors: list[str] = []
        self.terminated = threading.Event()

    @property
    def transcript(self) -> str:
        """The words of all ended turns."""
        return " ".join(self.finals[order] for order in sorted(self.finals))

    def on_event(self, _: Any, event: Any) -> None:
        """Begin, Turn and Termination."""
        if isinstance(event, BeginEvent):
            self.began.set()
        elif isinstance(event, TurnEvent) and event.end_of_turn:
            self.finals[event.turn_order] = event.transcript
        elif isinstance(event, TerminationEvent):
            self.terminated.set()

    def on_error(self, _: Any, error: Any) -> None:
        """Errors and refusals."""
        self.errors.append(str(error))


def recording(folder: Path) -> tuple[bytes, str]:
    """The first recording of a folder, 16 kHz mono s16le, and what is said in it."""
    path, said = first_recording(folder)
    samples, rate = soundfile.read(path, dtype="int16")
    assert rate == RATE
    return samples.tobytes(), said


def first_recording(folder: Path) -> tuple[Path, str]:
    """The same as a file, and what is said in it."""
    entry = json.loads((folder / "manifest.jsonl").read_text().splitlines()[0])
    return folder / entry["file"], entry["reference"]


def wrong(heard: Listener, said: str) -> float:
    """The word error rate."""
    return error_rate(heard.transcript, said)


def error_rate(text: str, said: str) -> float:
    """The word error rate of what was written down."""
    return float(jiwer.wer(normal(said), normal(text)))


def spoken(
    host: str,
    key: str,
    pcm: bytes,
    *,
    speed: float,
    model: str = ENGLISH,
    began: threading.Event | None = None,
    listener: Listener | None = None,
) -> Listener:
    """A whole session with the official SDK at `speed` times real time; `pcm` is 16 kHz mono s16le."""
    listener = listener or Listener()
    if began is not None:
        listener.began = began
    # Patient: the machine of a test may be busy with everything else.
    options = StreamingClientOptions(
        api_key=key, api_host=host, connect_timeout=_PATIENCE_SECONDS, terminate_timeout=_PATIENCE_SECONDS
    )
    sdk = StreamingClient(options)
    for kind in (StreamingEvents.Begin, StreamingEvents.Turn, StreamingEvents.Termination):
        sdk.on(kind, listener.on_event)
    sdk.on(StreamingEvents.Error, listener.on_error)
    sdk.connect(StreamingParameters(sample_rate=RATE, speech_model=model))
    sdk.stream(paced(pcm, speed))
    sdk.disconnect(terminate=True)
    return listener


def paced(pcm: bytes, speed: float) -> Iterator[bytes]:
    """Chunks of 100 ms of audio, each when its time has come."""
    began = time.monotonic()
    for start in range(0, len(pcm), _CHUNK):
        time.sleep(max(0.0, began + start / 2 / RATE / speed - time.monotonic()))
        yield pcm[start : start + _CHUNK]


@contextlib.contextmanager
def resolving(domain: str, address: str, ca_file: str) -> Iterator[None]:
    """Names under `domain` lead to `address`, and certificates of `ca_file` are trusted, as an administrator's DNS and
    trust store would have it."""
    original = socket.getaddrinfo

    def look_up(host: Any, *rest: Any, **named: Any) -> Any:
        return original(address if str(host).endswith(domain) else host, *rest, **named)

    with mock.patch("socket.getaddrinfo", look_up), mock.patch.dict("os.environ", SSL_CERT_FILE=ca_file):
        yield

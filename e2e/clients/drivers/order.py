"""What every driver of a Python client is given and how it tells what the client gave it.

A driver is run as `python driver.py ORDER`, with ORDER in JSON: `url` (as this client wants it), `key`, `audio` (a WAV
file of 16 kHz mono s16le, or none), `speed` (times real time; none is: as fast as it goes), `parameters` of the
client's own, `midway` (none, or what to change after half of the audio, where the turn is ended, too) and `token`
(whether to ask for a temporary token by the key, and open the session with that). It prints one JSON object a line:
what the client's public API gave, and nothing of ours.
"""

import json
import sys
import time
import wave
from collections.abc import Iterator
from typing import Any

RATE = 16_000
CHUNK_MS = 100


def read_order() -> dict[str, Any]:
    """The order of this run."""
    unsaid = {"audio": None, "speed": None, "parameters": {}, "midway": None, "token": False}
    return {**unsaid, **json.loads(sys.argv[1])}


def tell(event: str, **more: Any) -> None:
    """Print one thing that happened."""
    sys.stdout.write(json.dumps({"event": event, **more}) + "\n")
    sys.stdout.flush()


def chunks(order: dict[str, Any], milliseconds: int = CHUNK_MS) -> list[bytes]:
    """The audio of the order in pieces of so many milliseconds; the last may be shorter."""
    if order["audio"] is None:
        return []
    with wave.open(order["audio"]) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (RATE, 1, 2)
        pcm = recording.readframes(recording.getnframes())
    step = 2 * RATE * milliseconds // 1000
    return [pcm[start : start + step] for start in range(0, len(pcm), step)]


def waits(order: dict[str, Any], pieces: list[bytes]) -> Iterator[tuple[bytes, float, bool]]:
    """Each piece with how long to wait before it is sent, and whether what comes midway is due before it."""
    began, sent, middle = time.monotonic(), 0, len(pieces) // 2 if order["midway"] is not None else None
    for number, piece in enumerate(pieces):
        due = began + sent / (2 * RATE) / order["speed"] if order["speed"] else began
        yield piece, max(0.0, due - time.monotonic()), number == middle
        sent += len(piece)

"""One session with the gateway: a recording is spoken in real time, and its words have to come back.

Says how it went, never what was heard.
"""

import contextlib
import json
import os
import re
import sys
import threading
import time
import wave
from pathlib import Path
from urllib.parse import urlencode

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

SAID = "you don't mean that you thought me so silly"
# A small model may miss a word or two of nine.
ENOUGH = 0.6
CHUNK_SECONDS = 0.1


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return re.findall(r"[a-z']+", text.lower())


def found(heard: str) -> float:
    """The share of the words that were said that is also heard."""
    there = set(words(heard))
    said = words(SAID)
    return sum(word in there for word in said) / len(said)


def speak(link: ClientConnection, recording: Path) -> None:
    """Send the recording at its own pace, then the end."""
    # A link that ends is told by the side that listens.
    with wave.open(str(recording)) as audio, contextlib.suppress(WebSocketException):
        frames = int(audio.getframerate() * CHUNK_SECONDS)
        while chunk := audio.readframes(frames):
            link.send(chunk)
            time.sleep(CHUNK_SECONDS)
        link.send(json.dumps({"type": "Terminate"}))


def session(url: str, key: str, recording: Path, patience: float) -> str:
    """All ended turns of one session; WebSocketException, OSError or TimeoutError where it does not come about."""
    heard: dict[int, str] = {}
    with connect(url, additional_headers={"Authorization": key}, open_timeout=20) as link:
        threading.Thread(target=speak, args=(link, recording), daemon=True).start()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            event = json.loads(link.recv(timeout=patience))
            if event["type"] == "Turn" and event["end_of_turn"]:
                heard[event["turn_order"]] = event["transcript"]
            elif event["type"] == "Termination":
                break
            elif event["type"] == "Error":
                raise OSError(f"the gateway refused the session: {event.get('error', 'without a reason')}")
    return " ".join(heard[order] for order in sorted(heard))


def main() -> int:
    """0 where enough of the words came back."""
    query = {"sample_rate": 16000, "speech_model": os.environ["SPEECH_MODEL"]}
    url = f"{os.environ['GATEWAY_URL']}?{urlencode(query)}"
    recording = Path(__file__).with_name("recording.wav")
    deadline = time.monotonic() + float(os.environ["PATIENCE_SECONDS"])
    while True:
        try:
            share = found(session(url, os.environ.get("API_KEY", "helm-test"), recording, 60))
            break
        except (WebSocketException, OSError) as refused:
            if time.monotonic() > deadline:
                sys.stderr.write(f"no session: {refused}; see: kubectl describe sst\n")
                return 1
            sys.stdout.write(f"not yet: {refused}\n")
            sys.stdout.flush()
            time.sleep(3)
    sys.stdout.write(f"{share:.0%} of the words came back\n")
    return 0 if share >= ENOUGH else 1


if __name__ == "__main__":
    raise SystemExit(main())

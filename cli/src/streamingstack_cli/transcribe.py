"""`streamingstack transcribe`: a recording through a stack, shown as it is heard."""

import contextlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from streamingstack_cli.client import Request, Sending, stream
from streamingstack_cli.errors import CommandError
from streamingstack_cli.live import Show
from streamingstack_cli.recording import Recording
from streamingstack_cli.transcript import Transcript, as_json, as_srt, as_text
from streamingstack_cli.way import Way


class Format(StrEnum):
    """How a transcript is written."""

    TEXT = "text"
    JSON = "json"
    SRT = "srt"


@dataclass(frozen=True)
class Wanted:
    """What becomes of the transcript: `output` None writes JSON and SRT to standard output."""

    format: Format = Format.TEXT
    output: Path | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


async def transcribe(
    url: str, api_key: str, speed: float, recording: Recording, wanted: Wanted, way: Way | None = None
) -> None:
    """Stream, show, write; raises CommandError."""
    to_stdout = wanted.format is not Format.TEXT and wanted.output is None
    console = Console(stderr=to_stdout)
    parameters = {"format_turns": "true", **wanted.parameters}
    request = Request(url, api_key, parameters, speed, way or Way())
    sending = Sending(speed)
    transcript = Transcript(sending.spoken_at, formatted=_is_true(parameters["format_turns"]))
    session: dict[str, Any] = {}
    with Show(console) as show:
        async with contextlib.aclosing(stream(request, recording, sending)) as messages:
            async for message in messages:
                if message["type"] == "Begin":
                    model = (message.get("configuration") or {}).get("model")
                    session = {"id": message["id"], "speech_model": model}
                    show.line(f"{recording.path.name}: {recording.seconds:.1f} s, {model or 'default model'}")
                elif message["type"] == "Turn":
                    _turn(message, transcript, show)
        summary = transcript.summary(sending.seconds)
        show.line(str(summary))
    if wanted.format is Format.JSON:
        written = as_json(transcript.turns, summary, session)
    else:
        written = as_srt(transcript.turns) if wanted.format is Format.SRT else as_text(transcript.turns)
    if to_stdout:
        sys.stdout.write(written)
    elif wanted.output:
        _write(wanted.output, written)


def _turn(message: dict[str, Any], transcript: Transcript, show: Show) -> None:
    turn = transcript.take(message, time.monotonic())
    if turn is not None:
        show.final(turn)
    elif not message["end_of_turn"]:
        show.partial(message)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as failure:
        raise CommandError(f"{path} cannot be written: {failure.strerror}") from None


def parsed_parameters(pairs: list[str]) -> dict[str, str]:
    """`NAME=VALUE` pairs of the command line; raises CommandError with status 2."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise CommandError(f"--param {pair!r}: expected NAME=VALUE, for instance max_turn_silence=2000", 2)
        found[name] = value
    return found


def key_of_local_stack(url: str, folder: Path) -> str | None:
    """The key of the stack that `up` started from `folder` on the URL's port; None for a server elsewhere."""
    where = urlsplit(url)
    if not _is_loopback(where.hostname or ""):
        return None
    states = sorted(folder.glob(".state/*/run/gateway.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for file in states:
        key = file.parent.parent / "api-key"
        if _port_of(file) == str(where.port) and key.exists():
            return key.read_text().strip()
    return None


def _port_of(gateway: Path) -> str:
    """The port in what a local gateway was started from; empty where another version wrote it otherwise."""
    try:
        return str(json.loads(gateway.read_text())["environment"]["AAI_WSS_PORT"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_true(text: str) -> bool:
    return text.strip().casefold() in ("true", "1", "yes", "on", "t", "y")

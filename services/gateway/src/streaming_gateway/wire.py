"""Messages to the client, as the wire has them: every key always there, whole numbers where clients need them."""

import math
from collections.abc import Iterable
from typing import Any

WireMessage = dict[str, Any]


def turn(
    *,
    turn_order: int,
    words: Iterable[WireMessage],
    transcript: str,
    end_of_turn: bool = False,
    formatted: bool = False,
    end_of_turn_confidence: float = 0.0,
    utterance: str = "",
    language: tuple[str, float] | None = None,
) -> WireMessage:
    """A Turn; `language` is left out where it is not known, because a null loses the turn in one client."""
    message: WireMessage = {
        "type": "Turn",
        "turn_order": turn_order,
        "turn_is_formatted": formatted,
        "end_of_turn": end_of_turn,
        "transcript": transcript,
        "end_of_turn_confidence": end_of_turn_confidence,
        "words": list(words),
        "utterance": utterance,
    }
    if language is not None:
        message["language_code"], message["language_confidence"] = language
    return message


def speech_started(timestamp_ms: int, confidence: float) -> WireMessage:
    """The voice that the next Turn is about began here."""
    return {"type": "SpeechStarted", "timestamp": timestamp_ms, "confidence": confidence}


def begin(session_id: str, expires_at: int, configuration: dict[str, Any]) -> WireMessage:
    """The session is open; `expires_at` in Unix seconds."""
    return {"type": "Begin", "id": session_id, "expires_at": expires_at, "configuration": configuration}


def termination(audio_seconds: float, session_seconds: float) -> WireMessage:
    """The session ended as asked; audio rounded to the nearest second, the session's time upwards, at least one."""
    return {
        "type": "Termination",
        "audio_duration_seconds": math.floor(audio_seconds + 0.5),
        "session_duration_seconds": max(1, math.ceil(session_seconds)),
    }


def error(code: int, text: str) -> WireMessage:
    """The last message before the server closes with the same code."""
    return {"type": "Error", "error_code": code, "error": text}


def heartbeat(audio_ms: int, session_ms: int, realtime_factor: float, speech_probability: float) -> WireMessage:
    """Opt-in sign of life: audio received and time passed so far, their ratio lately, the loudest voice lately."""
    return {
        "type": "Heartbeat",
        "total_audio_received_ms": audio_ms,
        "total_duration_ms": session_ms,
        "realtime_factor": round(realtime_factor, 3),
        "max_speech_probability": round(min(max(speech_probability, 0.0), 1.0), 3),
    }


def silence(start_ms: int, end_ms: int) -> WireMessage:
    """Opt-in acknowledgement: no voice in this part of the audio."""
    return {"type": "Silence", "start_ms": start_ms, "end_ms": end_ms}

"""What is spoken: the script's sessions, and recordings one after the other. Pure but for reading recordings."""

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from scripted_stack import SCRIPT, SCRIPTED_MODEL
from streamingstack_bench.clips import Clip, ClipError, Programme, load_clips
from streamingstack_bench.long_script import quiet_end

from e2e_chaos.records import Word
from e2e_chaos.sessions import Speech

ENGLISH = "universal-streaming-english"
SAID = [Word(word.text, word.start_ms, word.end_ms) for word in SCRIPT.words]


def scripted(sessions: int, seconds: float) -> list[Speech]:
    """Sessions of the script of about that length."""
    length = quiet_end(SCRIPT, seconds)
    return [Speech(f"scripted {number}", SCRIPTED_MODEL, length) for number in range(sessions)]


def real(sessions: int, seconds: float, folder: Path) -> tuple[list[Speech], list[str]]:
    """Sessions of recordings, each in an order of its own, and what is said in them. Raises ClipError."""
    clips = [clip for clip in load_clips(folder) if clip.language == "en" and clip.reference and not clip.derived]
    if not clips:
        raise ClipError(f"{folder}: no English recording with its text; set STREAMINGSTACK_AUDIO")
    speeches, said = [], []
    for number in range(sessions):
        programme = Programme(tuple(_filling(clips[number:] + clips[:number], seconds)))
        pcm = programme.pcm.tobytes()
        speeches.append(Speech(f"real {number}", ENGLISH, programme.duration_s, pcm))
        said.append(" ".join(clip.reference or "" for clip in programme.clips))
    return speeches, said


def _filling(clips: Sequence[Clip], seconds: float) -> list[Clip]:
    """The clips over and over, as many whole ones as fit, one at least."""
    chosen: list[Clip] = []
    at = 0.0
    for clip in cycle(clips):
        if chosen and at + clip.duration_s > seconds:
            break
        chosen.append(clip)
        at += clip.duration_s + Programme(()).gap_s
    return chosen

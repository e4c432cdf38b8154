"""Streamed against offline, without a network: `python -m streamingstack_bench.offline_stream --help`.

For whoever tunes agreement, windows or guards: every clip goes through the recogniser's own stream core, with real
voice activity, Whisper and Smart Turn in this process; checkpoints are answered as the gateway does by default.
Decodes are kept by content, so that only what a change makes new is computed again.
"""

import asyncio
import hashlib
import json
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from streaming_asr.engine import HeardWord, Hypothesis, Window
from streaming_asr.replies import Offer
from streaming_asr.smart_turn import SmartTurn
from streaming_asr.stream import RecognitionStream
from streaming_asr.vad import SileroVoiceActivity
from streaming_asr.whisper.model import Request, WhisperModel
from streaming_asr.whisper.settings import Settings
from streaming_asr.windows import padded
from streamingstack.asr.v1 import recognizer_pb2 as pb

from streamingstack_bench.clips import RATE, Clip, load_clips
from streamingstack_bench.figures import error_rate, pooled, rate_difference
from streamingstack_bench.offline import OfflineWhisper
from streamingstack_bench.peer import opening
from streamingstack_bench.wording import WordErrors, tokens, word_errors

TAIL_S = 2.0  # silence behind every clip, so that its last turn ends by itself
CONFIDENT = 0.4
CONFIDENT_MS, FORCED_MS = 400, 1280

T = TypeVar("T")
Scores = Sequence[tuple[str, WordErrors]]


class KeptEngine:
    """A WindowEngine in this process that keeps its answers; counts what they cost."""

    def __init__(self, model: Path, smart_turn: Path, cache: Path, languages: Sequence[str], threads: int) -> None:
        self._settings = Settings(model, workers=threads, languages=tuple(languages))
        self._smart_turn_path = smart_turn
        self._cache = cache / "decodes"
        self._cache.mkdir(parents=True, exist_ok=True)
        self._pool = ThreadPoolExecutor(threads)
        self._model: WhisperModel | None = None
        self._smart_turn: SmartTurn | None = None
        self.decodes = 0
        self.window_s = 0.0

    async def decode(self, window: Window) -> Hypothesis:
        """Words of the window."""
        self.decodes += 1
        self.window_s += len(window.pcm) / RATE
        steering = (window.language_codes, window.prompt, window.keyterms, self._settings.languages)
        heard = await self._kept(window, str((self._settings.folder, steering)), lambda: self._decode(window))
        words = (
            HeardWord(word.text, window.first_sample + word.start, window.first_sample + word.end, word.confidence)
            for word in heard.words
        )
        return Hypothesis(tuple(words), heard.language, heard.language_confidence)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        """Never: only final words are measured here."""
        return None

    async def end_of_turn(self, window: Window) -> float:
        """Smart Turn's score."""
        return await self._kept(window, "turn", lambda: self._score(window))

    def _decode(self, window: Window) -> Any:
        if self._model is None:
            self._model = WhisperModel(self._settings)
        request = Request(
            padded(window.pcm),
            len(window.pcm),
            languages=window.language_codes,
            prompt=window.prompt,
            keyterms=window.keyterms,
        )
        return self._model.decode([request])[0]

    def _score(self, window: Window) -> float:
        if self._smart_turn is None:
            self._smart_turn = SmartTurn(self._smart_turn_path)
        return self._smart_turn.scores([np.asarray(window.pcm)])[0]

    async def _kept(self, window: Window, how: str, compute: Callable[[], T]) -> T:
        entry = self._cache / hashlib.sha256(how.encode() + window.pcm.tobytes()).hexdigest()
        if entry.is_file():
            kept: T = pickle.loads(entry.read_bytes())  # noqa: S301 - our own cache
            return kept
        result = await asyncio.get_running_loop().run_in_executor(self._pool, compute)
        entry.write_bytes(pickle.dumps(result))
        return result


@dataclass
class Streamed:
    """What one clip gave: final words, and the lag of each in seconds of audio, final and shown first."""

    words: list[HeardWord] = field(default_factory=list)
    final_lags: list[float] = field(default_factory=list)
    segments: int = 0
    language: str = ""

    @property
    def text(self) -> str:
        """All final words."""
        return " ".join(word.text for word in self.words)


class Gateway:
    """Answers checkpoints as the gateway does by default, and gathers what is final."""

    def __init__(self, replacing: bool) -> None:
        self.streamed = Streamed()
        self.stream: RecognitionStream | None = None
        self.finalized = False
        self._replacing = replacing

    async def take(self, response: pb.RecognizeResponse) -> None:
        """One message of the recogniser."""
        kind = response.WhichOneof("message")
        if kind == "words":
            self._final(response.words.final, response.words.through_sample)
        elif kind == "checkpoint":
            self._checkpoint(response.checkpoint)
        elif kind == "finalized":
            self._final(response.finalized.words, response.finalized.at_sample)
            self.finalized = True

    def _checkpoint(self, checkpoint: pb.Checkpoint) -> None:
        confident = checkpoint.silence_ms >= CONFIDENT_MS and checkpoint.eot_score >= CONFIDENT
        end = checkpoint.silence_ms >= FORCED_MS or checkpoint.reason == pb.CHECKPOINT_REASON_CAP or confident
        decision = pb.DECISION_END_SEGMENT if end else pb.DECISION_CONTINUE
        if end or not self._replacing:
            self._final(checkpoint.words, checkpoint.at_sample)
        self.streamed.segments += bool(end)
        self.streamed.language = checkpoint.language or self.streamed.language
        assert self.stream is not None
        answer = pb.Answer(checkpoint_id=checkpoint.id, decision=decision)
        self.stream.inbox.take(pb.RecognizeRequest(answer=answer))

    def _final(self, words: Sequence[pb.Word], at: int) -> None:
        for word in words:
            self.streamed.words.append(HeardWord(word.text, word.start_sample, word.end_sample, word.confidence))
            self.streamed.final_lags.append((at - word.end_sample) / RATE)


async def stream_clip(
    clip: Clip, engine: KeptEngine, voice: SileroVoiceActivity, *, replacing: bool, **options: Any
) -> Streamed:
    """One clip through the stream core, as fast as it goes."""
    gateway = Gateway(replacing)
    gateway.stream = RecognitionStream(
        opening(**options), engine=engine, voice=voice, send=gateway.take, offer=Offer(1, 3000, replacing)
    )
    running = asyncio.create_task(gateway.stream.run())
    pcm = np.concatenate([clip.pcm, np.zeros(int(TAIL_S * RATE), np.int16)])
    for first in range(0, len(pcm), RATE // 2):
        piece = pcm[first : first + RATE // 2]
        while gateway.stream.inbox.credit < first + len(piece):
            await _pause(running)
        audio = pb.Audio(first_sample=first, pcm=piece.tobytes())
        gateway.stream.inbox.take(pb.RecognizeRequest(audio=audio))
    finalize = pb.Finalize(id=1, at_sample=len(pcm))
    gateway.stream.inbox.take(pb.RecognizeRequest(finalize=finalize))
    while not gateway.finalized:
        await _pause(running)
    gateway.stream.inbox.half_close()
    await running
    return gateway.streamed


async def _pause(running: "asyncio.Task[None]") -> None:
    await asyncio.sleep(0.001)
    if running.done():
        running.result()


async def _stream_all(clips: Sequence[Clip], engine: KeptEngine, vad: Path, **options: Any) -> list[Streamed]:
    voice = SileroVoiceActivity(vad)
    turn = asyncio.Semaphore(2)

    async def one(clip: Clip) -> Streamed:
        async with turn:
            return await stream_clip(clip, engine, voice, **options)

    return list(await asyncio.gather(*(one(clip) for clip in clips)))


def _scores(clips: Sequence[Clip], texts: Sequence[str]) -> Iterator[tuple[str, WordErrors]]:
    for clip, text in zip(clips, texts, strict=True):
        yield clip.name, word_errors(tokens(clip.reference or "", clip.language), tokens(text, clip.language))


app = typer.Typer(add_completion=False)


@app.command()
def measure(
    model: Annotated[Path, typer.Option(help="CTranslate2 Whisper folder.")],
    hearing: Annotated[Path, typer.Option(help="Folder with silero_vad.onnx and smart_turn.onnx.")],
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("../shared/audio"),
    cache: Annotated[Path, typer.Option(help="Where decodes are kept.")] = Path(".cache/offline-stream"),
    language: Annotated[list[str] | None, typer.Option(help="Languages of clips; all by default.")] = None,
    allowed: Annotated[str, typer.Option(help="Languages a multilingual model may detect.")] = "en,de,es,fr,it,pt",
    replacing: Annotated[bool, typer.Option(help="As Universal-3.")] = False,
    prompt: str = "",
    keyterms: Annotated[str, typer.Option(help="Comma separated.")] = "",
    only: Annotated[str, typer.Option(help="Clips whose name contains this.")] = "",
    checkpoints: Annotated[str, typer.Option(help="Silences in ms.")] = "160,400,640,880,1120,1280",
    threads: int = 1,
    show: Annotated[bool, typer.Option(help="Print texts of clips that differ.")] = False,
    out: Annotated[Path | None, typer.Option(help="JSON with the figures.")] = None,
) -> None:
    """Word error rates of streamed finals and of the same weights offline, and the lag of final words in audio time."""
    clips = [
        clip
        for clip in load_clips(audio)
        if clip.reference is not None and (not language or clip.language in language) and only in clip.name
    ]
    engine = KeptEngine(model, hearing / "smart_turn.onnx", cache, allowed.split(","), threads)
    steering: dict[str, Any] = {
        "replacing": replacing,
        "prompt": prompt,
        "keyterms": [term for term in keyterms.split(",") if term],
        "checkpoints_ms": [int(silence) for silence in checkpoints.split(",")],
    }
    begin = time.monotonic()
    streamed = asyncio.run(_stream_all(clips, engine, hearing / "silero_vad.onnx", **steering))
    took = time.monotonic() - begin
    offline = OfflineWhisper(model, cache, word_times=False, threads=threads)
    alone = [offline.hear(clip).text for clip in clips]
    report(clips, streamed, alone, engine, took=took, show=show, out=out)


def _differing(clips: Sequence[Clip], streamed: Sequence[Streamed], ours: Scores, theirs: Scores) -> Table:
    table = Table("clip", "words", "streamed", "offline", "segments", "language")
    for clip, one, (_, mine), (_, other) in zip(clips, streamed, ours, theirs, strict=True):
        if mine.edits != other.edits:
            counts = [str(count) for count in (mine.words, mine.edits, other.edits, one.segments)]
            table.add_row(clip.name, *counts, one.language)
    return table


def report(
    clips: Sequence[Clip],
    streamed: Sequence[Streamed],
    alone: Sequence[str],
    engine: KeptEngine,
    *,
    took: float,
    show: bool,
    out: Path | None,
) -> None:
    """Print what was measured."""
    console = Console(width=150)
    ours, theirs = list(_scores(clips, [one.text for one in streamed])), list(_scores(clips, alone))
    console.print(_differing(clips, streamed, ours, theirs))
    if show:
        for clip, one, text, (_, mine), (_, other) in zip(clips, streamed, alone, ours, theirs, strict=True):
            if mine.edits > other.edits:
                console.print(f"{clip.name}\n  REF {clip.reference}\n  OFF {text}\n  STR {one.text}", markup=False)
    lags = sorted(lag for one in streamed for lag in one.final_lags)
    audio_s = sum(clip.duration_s for clip in clips)
    figures = {
        "clips": len(clips),
        "wer": error_rate(pooled(ours)),
        "wer_offline": error_rate(pooled(theirs)),
        "gap": rate_difference(pooled(ours), pooled(theirs)),
        "edits": sum(errors.edits for _, errors in ours),
        "edits_offline": sum(errors.edits for _, errors in theirs),
        "final_lag_p50": lags[len(lags) // 2],
        "final_lag_p95": lags[len(lags) * 95 // 100],
        "decodes_per_audio_s": engine.decodes / audio_s,
        "window_s_mean": engine.window_s / max(1, engine.decodes),
        "took_s": took,
        "audio_s": audio_s,
    }
    for name, value in figures.items():
        console.print(f"{name:22} {value}", markup=False)
    if out is not None:
        out.write_text(json.dumps(figures, default=str, indent=1))


if __name__ == "__main__":
    app()

"""What turns heard before do to the next one: `python -m streamingstack_bench.prior_turns --help`.

One session of many turns, a recording each: every turn is decoded after the texts of the turns before it, as the model
itself heard them, and after none. Told are the words that are wrong and what a decode costs.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from model_store import default_cache, pull_model
from rich.console import Console
from rich.progress import track
from stack_model.api import load_stack
from streaming_asr.whisper.model import Request, WhisperModel
from streaming_asr.whisper.settings import Settings
from streaming_asr.windows import LONGEST, padded

from streamingstack_bench.clips import Clip, load_clips
from streamingstack_bench.figures import Interval, error_rate, rate_difference
from streamingstack_bench.machine import this_machine
from streamingstack_bench.report import with_section
from streamingstack_bench.wording import WordErrors, tokens, word_errors

TURNS = (0, 1, 2, 5)


@dataclass(frozen=True)
class Hearing:
    """The session with `turns` before each: errors by recording, mean tokens of context and seconds of processor."""

    turns: int
    errors: Mapping[str, WordErrors]
    context_tokens: float
    decode_s: float


def turns_of(clips: Sequence[Clip]) -> list[Clip]:
    """English recordings with a text that fit a window, in their order, without copies of others."""
    return [
        clip
        for clip in clips
        if clip.language == "en" and clip.reference and not clip.derived and len(clip.pcm) <= LONGEST
    ]


def hear(model: WhisperModel, clips: Sequence[Clip], turns: int) -> Hearing:
    """Decode each recording after what was heard of the `turns` before it."""
    heard: list[str] = []
    errors: dict[str, WordErrors] = {}
    context, spent = 0, 0.0
    for clip in clips:
        prompt = " ".join(heard[-turns:]) if turns else ""
        request = Request(padded(clip.pcm), len(clip.pcm), prompt=prompt)
        context += max(0, model.shape(request)[1] - 1)  # the first of them says that context follows
        began = time.process_time()
        (result,) = model.decode([request])
        spent += time.process_time() - began
        heard.append(" ".join(word.text for word in result.words))
        errors[clip.name] = word_errors(tokens(clip.reference or "", "en"), tokens(heard[-1], "en"))
    return Hearing(turns, errors, context / len(clips), spent / len(clips))


def describe(hearings: Sequence[Hearing]) -> str:
    """The Markdown table; differences are against no turn before, which comes first."""
    none = hearings[0]
    rows = {
        "turns before": [str(one.turns) for one in hearings],
        "": ["---"] * len(hearings),
        "tokens of context": [f"{one.context_tokens:.0f}" for one in hearings],
        "words wrong": [_share(error_rate(one.errors)) for one in hearings],
        "against none": ["", *(_share(rate_difference(one.errors, none.errors), sign="+") for one in hearings[1:])],
        "of them words that nobody said": [
            str(sum(counted.insertions for counted in one.errors.values())) for one in hearings
        ],
        "processor seconds of a decode": [
            f"{one.decode_s:.2f}" + (f" ({one.decode_s / none.decode_s - 1:+.0%})" if one is not none else "")
            for one in hearings
        ],
    }
    return "\n".join(f"| {name or '---'} | {' | '.join(cells)} |" for name, cells in rows.items())


def _share(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return "–"
    low, high = (f"{100 * end:{sign}.1f}" for end in (interval.low, interval.high))
    return f"{100 * interval.value:{sign}.1f} % ({low} to {high})"


app = typer.Typer(add_completion=False)


@app.command()
def main(
    stack: Annotated[Path, typer.Option(help="Stack YAML; the model of its first route is measured.")],
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("examples/audio"),
    markdown: Annotated[Path | None, typer.Option(help="Write the table as a section of this file.")] = None,
) -> None:
    """Decode a session's turns after several numbers of turns before them."""
    clips = turns_of(load_clips(audio))
    if len(clips) <= max(TURNS):
        raise typer.BadParameter(
            f"not {max(TURNS) + 1} English recordings with a text in {audio}", param_hint="--audio"
        )
    folder = pull_model(load_stack(stack).spec.models[0], default_cache())
    model = WhisperModel(Settings(folder, workers=1, languages=("en",)))
    hear(model, clips[:1], 0)  # warm
    table = describe([hear(model, clips, turns) for turns in track(TURNS, "turns", console=Console(stderr=True))])
    typer.echo(table)
    if markdown is not None:
        about = (
            f"## What turns before do to the next one\n\n{len(clips)} recordings as turns of one session, decoded by "
            f"the model of `u3-pro` on one core of {this_machine().processor} after the texts of the turns before, by "
            "`make prior-turns`. In brackets the interval over the recordings, 95 %.\n\n"
        )
        document = markdown.read_text() if markdown.exists() else ""
        markdown.write_text(with_section(document, "prior turns", about + table + "\n"))


if __name__ == "__main__":
    app()

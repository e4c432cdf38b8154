"""What a prompt costs: `python -m streamingstack_bench.prompt_cost --help`.

The context before a window is read by the decoder once a decode, and attended to by every token that it writes. The
same windows are decoded after contexts of several lengths, alone and in batches of one length, as in Triton.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from model_store import default_cache, pull_model
from rich.console import Console
from rich.progress import track
from stack_model.api import load_stack
from streaming_asr.engine import Pcm
from streaming_asr.whisper.model import Request, WhisperModel
from streaming_asr.whisper.prompts import MOST_CONTEXT_TOKENS
from streaming_asr.whisper.settings import Settings
from streaming_asr.windows import padded

from streamingstack_bench.clips import RATE, Clip, load_clips
from streamingstack_bench.machine import this_machine
from streamingstack_bench.report import with_section

WINDOW_S = 6
TOGETHER = 4
LENGTHS = (0, 16, 64, 128, MOST_CONTEXT_TOKENS)
# Words of one token each, of everyday kind: the text of a prompt hardly changes what it costs, its length does.
_WORDS = ("the", "people", "in", "this", "house", "have", "some", "time", "and", "work", "for", "them", "every", "day")


@dataclass(frozen=True)
class Cost:
    """Mean seconds of processor for the decode of one window after `tokens` of context, alone and in a batch."""

    tokens: int
    alone_s: float
    together_s: float


def windows(clips: Sequence[Clip], most: int) -> list[Pcm]:
    """Windows of WINDOW_S, one from the beginning of each clip that is long enough."""
    samples = WINDOW_S * RATE
    return [np.asarray(clip.pcm[:samples]) for clip in clips if len(clip.pcm) >= samples][:most]


def prompt_of(tokens: int) -> str:
    """A text of that many words."""
    return " ".join(_WORDS[number % len(_WORDS)] for number in range(tokens))


def measure(model: WhisperModel, pcm: Sequence[Pcm], words: int) -> Cost:
    """The windows after a prompt of so many words; its tokens are counted as the model has them."""
    prompt = prompt_of(words)
    tokens = model.shape(Request(padded(pcm[0]), len(pcm[0]), prompt=prompt))[1]
    alone, together = (decode_seconds(model, pcm, prompt, count) for count in (1, TOGETHER))
    return Cost(max(0, tokens - 1), alone, together)  # the first of them says that context follows


def decode_seconds(model: WhisperModel, pcm: Sequence[Pcm], prompt: str, together: int) -> float:
    """Mean seconds of processor for one of the windows, decoded in batches of `together`."""
    requests = [Request(padded(one), len(one), prompt=prompt) for one in pcm]
    began = time.process_time()
    for first in range(0, len(requests), together):
        model.decode(requests[first : first + together])
    return (time.process_time() - began) / len(requests)


def describe(costs: Sequence[Cost]) -> str:
    """The Markdown table; percentages are against no context, which comes first."""
    none = costs[0]
    lines = [
        "| tokens of context | " + " | ".join(str(cost.tokens) for cost in costs) + " |",
        "|" + " --- |" * (len(costs) + 1),
    ]
    for name, of, base in (
        ("processor seconds of a decode, alone", [cost.alone_s for cost in costs], none.alone_s),
        (f"the same in batches of {TOGETHER}", [cost.together_s for cost in costs], none.together_s),
    ):
        cells = [f"{value:.2f} ({value / base - 1:+.0%})" if value != base else f"{value:.2f}" for value in of]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    stack: Annotated[Path, typer.Option(help="Stack YAML; the model of its first route is measured.")],
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("examples/audio"),
    most: Annotated[int, typer.Option(min=TOGETHER, help="Windows, at most.")] = 12,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as a section of this file.")] = None,
) -> None:
    """Decode the same windows after contexts of several lengths."""
    console = Console(stderr=True)
    pcm = windows([clip for clip in load_clips(audio) if clip.language == "en"], most)
    if not pcm:
        raise typer.BadParameter(f"no recording of {WINDOW_S} s or more in {audio}", param_hint="--audio")
    folder = pull_model(load_stack(stack).spec.models[0], default_cache())
    model = WhisperModel(Settings(folder, workers=1, languages=("en",)))
    decode_seconds(model, pcm[:1], "", 1)  # warm
    costs = [measure(model, pcm, words) for words in track(LENGTHS, "contexts", console=console)]
    table = describe(costs)
    typer.echo(table)
    if markdown is not None:
        machine = this_machine()
        about = (
            f"## What a prompt costs\n\n{len(pcm)} windows of {WINDOW_S} s decoded by the model of `u3-pro` on one "
            f"core of {machine.processor} after a prompt, by `make prompt-cost`. Keyterms cost what their tokens cost; "
            f"prompt and keyterms have {MOST_CONTEXT_TOKENS} tokens together at most.\n\n"
        )
        document = markdown.read_text() if markdown.exists() else ""
        markdown.write_text(with_section(document, "prompt cost", about + table + "\n"))


if __name__ == "__main__":
    app()

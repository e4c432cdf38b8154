"""What keyterms, prompts and updates change: `python -m streamingstack_bench.steering --help`.

Recordings in which a name is said are heard without any help, and then with the names in each of the ways of the
protocol. Where the help comes by UpdateConfiguration, one session hears the recording twice, with the update between.
Sessions are sent as fast as they go: what is heard does not depend on it.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from stack_model.catalogue import family_of

from streamingstack_bench.clips import RATE, Clip, Programme, load_clips
from streamingstack_bench.local_stack import local_stack
from streamingstack_bench.machine import this_machine
from streamingstack_bench.report import with_section
from streamingstack_bench.wire_client import WireClient, wire_client
from streamingstack_bench.wording import Tokens, WordErrors, tokens, word_errors

# Of LibriSpeech, FLEURS and an audio book: said in them, and rare in what the models have learnt.
NAMES = ("Merneptah", "Sintra", "Byron", "Marianas", "Newberg", "Delmonico", "Zau al Makan", "Dashwood")
MODELS = ("universal-streaming-english", "universal-3-5-pro")
GAP_S = 3.0  # longer than any silence that ends a turn
TOGETHER = 2
_PATIENCE_S = 240.0


@dataclass(frozen=True)
class Way:
    """How the names come to the model: with the connection, or by an update in mid-session."""

    title: str
    query: dict[str, Any] = field(default_factory=dict)
    update: dict[str, Any] | None = None


@dataclass(frozen=True)
class Heard:
    """How many of the names that are said were heard, and the errors in all words."""

    said: int = 0
    right: int = 0
    errors: WordErrors = field(default_factory=WordErrors)

    def __add__(self, other: "Heard") -> "Heard":
        return Heard(self.said + other.said, self.right + other.right, self.errors + other.errors)


def ways(speech_model: str, names: Sequence[str]) -> list[Way]:
    """Without help first, then those that the model takes."""
    text = f"They speak of {', '.join(names)}."
    updates: dict[str, Any] = {"keyterms_prompt": list(names)}
    if family_of(speech_model) == "universal-3":
        updates |= {"prompt": text, "agent_context": text}
    given = [
        Way(f"`{name}`", {name: said if isinstance(said, str) else json.dumps(said)}) for name, said in updates.items()
    ]
    return [
        Way("nothing"),
        *given,
        *(Way(f"`{name}` by an update", update={name: said}) for name, said in updates.items()),
    ]


def occurrences(text: Tokens, name: Tokens) -> int:
    """How often a name of one word or several is in a text."""
    return sum(text[at : at + len(name)] == name for at in range(len(text) - len(name) + 1))


def score(reference: str, text: str, names: Sequence[str]) -> Heard:
    """The text against what is said."""
    spoken, heard = tokens(reference, "en"), tokens(text, "en")
    counts = [(occurrences(spoken, one), occurrences(heard, one)) for one in (tokens(name, "en") for name in names)]
    return Heard(sum(n for n, _ in counts), sum(min(pair) for pair in counts), word_errors(spoken, heard))


def named(clips: Sequence[Clip], names: Sequence[str]) -> list[Clip]:
    """English recordings in which a name is said, none that was made of others."""
    english = [clip for clip in clips if clip.language == "en" and clip.reference and not clip.derived]
    return [clip for clip in english if score(str(clip.reference), "", names).said > 0]


Row = tuple[str, str, list[Heard]]  # model, way, and what was heard: once, or before and after an update


@dataclass(frozen=True)
class Server:
    """Where sessions go."""

    url: str
    api_key: str
    speech_model: str

    async def texts(self, clip: Clip, way: Way) -> list[str]:
        """What is heard of the clip: once, or before and after the update."""
        programme = Programme((clip, clip) if way.update else (clip,), GAP_S)
        pcm = programme.pcm.tobytes()
        middle = 2 * round((clip.duration_s + GAP_S / 2) * RATE)
        query: dict[str, Any] = {"speech_model": self.speech_model, **way.query}
        universal3 = family_of(self.speech_model) == "universal-3"
        async with wire_client(f"{self.url}/v3/ws", key=self.api_key, universal3=universal3, **query) as client:
            reading = asyncio.create_task(client.rest(_PATIENCE_S))
            await client.audio(0, pcm=pcm[:middle])
            if way.update:
                await client.say("UpdateConfiguration", **way.update)
                await client.audio(0, pcm=pcm[middle:])
            await client.say("Terminate")
            if (await reading)[0] != 1000:
                raise RuntimeError(f"a session of {clip.name} closed {client.closed}")
        return list(_by_clip(client, programme))

    async def heard(self, clips: Sequence[Clip], way: Way, names: Sequence[str]) -> list[Heard]:
        """All clips together: once, or before and after the update."""
        free = asyncio.Semaphore(TOGETHER)

        async def one(clip: Clip) -> list[Heard]:
            async with free:
                return [score(str(clip.reference), text, names) for text in await self.texts(clip, way)]

        scores = await asyncio.gather(*(one(clip) for clip in clips))
        return [sum(same, Heard()) for same in zip(*scores, strict=True)]


def _by_clip(client: WireClient, programme: Programme) -> Iterator[str]:
    """The final words of each clip of the session."""
    ended = {turn["turn_order"]: turn["words"] for turn in client.turns if turn["end_of_turn"]}
    words = [word for turn in ended.values() for word in turn]
    for start, end in pairwise((*programme.starts_s, programme.duration_s + GAP_S)):
        within = (1000 * (start - GAP_S / 2), 1000 * (end - GAP_S / 2))
        yield " ".join(word["text"] for word in words if within[0] <= word["start"] < within[1])


async def measure(
    servers: Sequence[Server], clips: Sequence[Clip], names: Sequence[str], console: Console
) -> list[Row]:
    """Every way of every model; the models side by side."""

    async def one(server: Server) -> list[Row]:
        rows: list[Row] = []
        for way in ways(server.speech_model, names):
            rows.append((server.speech_model, way.title, await server.heard(clips, way, names)))
            console.print(describe(rows[-1:]).splitlines()[-1], highlight=False)
        return rows

    return [row for rows in await asyncio.gather(*map(one, servers)) for row in rows]


def describe(rows: Sequence[Row]) -> str:
    """The Markdown table of model, way and what was heard; before and after an update where it is one."""
    lines = ["| model | the names come by | names heard right | word error rate |", "|---|---|---|---|"]
    for model, way, heard in rows:
        right = " → ".join(f"{one.right} of {one.said}" for one in heard)
        rate = " → ".join(f"{one.errors.edits / max(1, one.errors.words):.1%}" for one in heard)
        lines.append(f"| `{model}` | {way} | {right} | {rate} |")
    return "\n".join(lines)


app = typer.Typer(add_completion=False)


@app.command()
def main(
    up: Annotated[Path, typer.Option(help="Stack YAML to run here meanwhile.")],
    audio: Annotated[Path, typer.Option(envvar="STREAMINGSTACK_AUDIO")] = Path("examples/audio"),
    name: Annotated[
        list[str] | None, typer.Option(help="A name to listen for; repeatable. Else those of NAMES.")
    ] = None,
    speech_model: Annotated[list[str] | None, typer.Option(help="Model to ask for; repeatable.")] = None,
    port_offset: Annotated[int, typer.Option(help="Shift every port.")] = 0,
    state: Annotated[Path | None, typer.Option(help="Where the stack keeps its files.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table as a section of this file.")] = None,
) -> None:
    """Hear recordings with names in them without help, and with the names in each way."""
    console, names = Console(stderr=True), name or NAMES
    clips = named(load_clips(audio), names)
    if not clips:
        raise typer.BadParameter(f"no English recording in {audio} says any of {', '.join(names)}", param_hint="--name")
    machine = this_machine()
    with local_stack(up, console, port_offset=port_offset, state=state) as stack:
        servers = [Server(stack.url, stack.api_key, model) for model in speech_model or MODELS]
        rows = asyncio.run(measure(servers, clips, names, console))
    typer.echo(describe(rows))
    if markdown is not None:
        seconds = sum(clip.duration_s for clip in clips)
        about = (
            f"## What keyterms and prompts change\n\n{len(clips)} recordings ({seconds:.0f} s) in which one of "
            f"{len(names)} names is said, by `make steering` on {machine.cores} cores of {machine.processor}: without "
            "help, with all the names from the beginning, and by an UpdateConfiguration between two hearings of the "
            "same recording in one session (before → after).\n\n"
        )
        document = markdown.read_text() if markdown.exists() else ""
        markdown.write_text(with_section(document, "steering", about + describe(rows) + "\n"))


if __name__ == "__main__":
    app()

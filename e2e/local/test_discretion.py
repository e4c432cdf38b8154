"""Nothing that is spoken, or told to the models, is written down.

Its name puts it before the other tests of the stack, so that what a silent run shows is not what an earlier one said.
When all have run, the fixture looks through every log for anything that any recording says.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from running_stack import AUDIO, RATE, LocalStack, metrics_page, pcm_of
from spoken_words import triples, words
from streamingstack_bench.wire_client import wire_client

pytestmark = pytest.mark.stack

ENGLISH = "universal-streaming-english"
MULTILINGUAL = "universal-streaming-multilingual"
RECORDING = AUDIO / "en_derived_pauses_1688.wav"
# Unlike any word of ours: each is looked for by itself.
NAMES = ("Wilhelmina", "Quistgaard", "Zweibrücken", "Halstonbury")
PROMPT = "The customer Wilhelmina Quistgaard speaks about her shop."
KEYTERMS = ["Zweibrücken", "Halstonbury"]


async def everything_said(stack: LocalStack, pcm: bytes, *, told: bool) -> str:
    """`pcm` through every model, with a forced end and, where it is `told`, a prompt and keyterms; returns all that was
    said or told."""
    said = [PROMPT, *KEYTERMS] if told else []
    keyterms: dict[str, Any] = {"keyterms_prompt": json.dumps(KEYTERMS)} if told else {}
    prompt: dict[str, Any] = {"prompt": PROMPT} if told else {}
    asked: tuple[tuple[str, dict[str, Any]], ...] = (
        (ENGLISH, {**keyterms, "format_turns": "true"}),
        (MULTILINGUAL, {"language_detection": "true"}),
        ("universal-3-5-pro", prompt | keyterms),
    )
    for model, more in asked:
        universal3 = model.startswith("universal-3")
        async with wire_client(
            stack.url, key=stack.api_key, universal3=universal3, speech_model=model, **more
        ) as client:
            await client.audio(0, pcm=pcm[: len(pcm) // 4 * 2])
            await client.say("ForceEndpoint")
            await client.audio(0, pcm=pcm[len(pcm) // 4 * 2 :])
            assert (await client.terminate())[0] == 1000
        said += [turn["transcript"] for turn in client.turns]
    return " ".join(said)


async def test_nothing_spoken_is_in_any_log_or_metric(local_stack: LocalStack) -> None:
    marks = positions(local_stack.logs)
    await everything_said(local_stack, bytes(2 * RATE * 4), told=False)
    await asyncio.sleep(1)
    quiet = words(written_since(local_stack.logs, marks) + await all_metrics(local_stack))
    marks = positions(local_stack.logs)
    said = words(await everything_said(local_stack, pcm_of(RECORDING), told=True))
    await asyncio.sleep(1)
    written = written_since(local_stack.logs, marks) + await all_metrics(local_stack)
    loud = words(written)
    assert len(set(said)) > 40
    new = (set(loud) & set(said)) - set(quiet)
    assert not new, f"words of the speech that a silent run's logs do not have: {sorted(new)}"
    assert not triples(said) & triples(loud)
    shown = written.casefold()
    spelt = {name: (name.casefold(), json.dumps(name).strip('"').casefold()) for name in NAMES}
    assert not [name for name, spellings in spelt.items() if any(spelling in shown for spelling in spellings)]
    assert local_stack.api_key not in "".join(path.read_text() for path in local_stack.logs.glob("*.log"))


def positions(logs: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in logs.glob("*.log")}


def written_since(logs: Path, marks: dict[Path, int]) -> str:
    written = (path.read_bytes()[marks.get(path, 0) :] for path in logs.glob("*.log"))
    return "".join(part.decode(errors="replace") for part in written)


async def all_metrics(stack: LocalStack) -> str:
    """Of the gateway, the licence proxy, the recognisers and their Tritons; without the texts that describe them."""
    ports = (9090, 8082, 9091, 9092, 9093, 8012, 8022, 8032)
    pages = [await metrics_page(stack, port) for port in ports]
    return "\n".join(line for page in pages for line in page.splitlines() if not line.startswith("#"))

"""What help with names changes is counted, name by name, before and after an update."""

import json
from dataclasses import replace

import pytest
from rich.console import Console
from scripted_gateway import scripted_gateway
from streamingstack_bench.scripted import Script, ScriptWord
from streamingstack_bench.steering import GAP_S, Heard, Server, Way, describe, measure, named, occurrences, score, ways
from streamingstack_bench.wording import WordErrors, tokens

NAMES = ("Ostrava", "Zau al Makan")
SAID = "he went to Ostrava"
CLIP_S = 3.0


@pytest.mark.parametrize(
    ("text", "name", "count"),
    [("zau al makan saw zau al makan", "Zau al Makan", 2), ("zau al", "Zau al Makan", 0), ("", "Ostrava", 0)],
)
def test_a_name_is_all_of_its_words(text: str, name: str, count: int) -> None:
    assert occurrences(tokens(text, "en"), tokens(name, "en")) == count


def test_a_name_counts_as_often_as_it_is_said() -> None:
    heard = score("Ostrava and Zau al Makan in Ostrava", "Ostrava. Ostrava! Ostrava, a makan.", NAMES)
    assert (heard.said, heard.right) == (3, 2)
    assert heard + Heard(1, 1, WordErrors(2)) == Heard(4, 3, heard.errors + WordErrors(2))


def test_english_recordings_with_a_name_are_heard_and_no_copies(silent_clip) -> None:
    clips = [
        silent_clip("with.wav", 1, SAID),
        silent_clip("without.wav", 1, "he went"),
        silent_clip("unknown.wav", 1, None),
        silent_clip("german.wav", 1, SAID, "de"),
        replace(silent_clip("noisy.wav", 1, SAID), derived=True),
    ]
    assert [clip.name for clip in named(clips, NAMES)] == ["with.wav"]


def test_each_model_is_helped_in_the_ways_that_it_takes() -> None:
    universal, pro = ways("universal-streaming-english", NAMES), ways("universal-3-5-pro", NAMES)
    assert [way.title for way in universal] == ["nothing", "`keyterms_prompt`", "`keyterms_prompt` by an update"]
    fields = ["keyterms_prompt", "prompt", "agent_context"]
    assert [next(iter(way.query), "") for way in pro] == ["", *fields, "", "", ""]
    assert [next(iter(way.update or {}), "") for way in pro] == ["", "", "", "", *fields]
    assert json.loads(pro[1].query["keyterms_prompt"]) == list(NAMES)
    assert pro[2].query["prompt"] == "They speak of Ostrava, Zau al Makan."


@pytest.mark.parametrize("model", ["universal-streaming-english", "universal-3-5-pro"])
async def test_help_is_heard_from_the_beginning_or_after_the_update(silent_clip, model: str) -> None:
    """The scripted recogniser mishears a name that nobody told it of; it is said in both hearings of the recording."""
    again = round(1000 * (CLIP_S + GAP_S))
    words = [
        ScriptWord(text, at + 400 * place, at + 400 * place + 300, misheard="australia" if text == "Ostrava" else "")
        for at in (500, again + 500)
        for place, text in enumerate(SAID.split())
    ]
    clip = silent_clip("said.wav", CLIP_S, SAID)
    async with scripted_gateway(Script(words), replacing=model.startswith("universal-3")) as running:
        rows = await measure([Server(running.url, "any key", model)], [clip, clip], NAMES, Console(quiet=True))
    counted = {way: heard for _, way, heard in rows}
    assert [(one.said, one.right) for one in counted.pop("nothing")] == [(2, 0)]
    for title, heard in counted.items():
        assert [one.right for one in heard] == ([0, 2] if title.endswith("update") else [2])
        assert [one.errors.edits for one in heard] == ([2, 0] if title.endswith("update") else [0])


def test_the_table_tells_before_and_after() -> None:
    before, after = Heard(4, 1, WordErrors(10, 3)), Heard(4, 3, WordErrors(10, 1))
    assert describe([("m", Way("nothing").title, [before]), ("m", "`prompt` by an update", [before, after])]) == (
        "| model | the names come by | names heard right | word error rate |\n"
        "|---|---|---|---|\n"
        "| `m` | nothing | 1 of 4 | 30.0% |\n"
        "| `m` | `prompt` by an update | 1 of 4 → 3 of 4 | 30.0% → 10.0% |"
    )

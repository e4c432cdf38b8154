"""The splice by its promise: exact under the conditions that its module states."""

from dataclasses import dataclass

from asr_contract.splice import same_word, splice
from hypothesis import assume, given, settings
from hypothesis import strategies as st

MS = 16
TOLERANCE = 200  # milliseconds
DISGUISES = [str.upper, str.capitalize, lambda text: text + ",", lambda text: "\u201c" + text + "!", lambda text: text]
# No run of these is equal to another of them.
WORDS = ["no", "very", "the", "I", "cat", "don't", "\u00e9t\u00e9", "42", "gut"]


@dataclass(frozen=True)
class Spoken:
    text: str
    start: int
    end: int


@st.composite
def scripts(draw: st.DrawFn, apart: int) -> list[Spoken]:
    """Words in order (milliseconds), equal ones with starts and ends more than `apart` from each other."""
    script: list[Spoken] = []
    position = draw(st.integers(0, 500))
    for _ in range(draw(st.integers(0, 30))):
        text = draw(st.sampled_from(WORDS))
        length = draw(st.integers(40, 600))
        start = position + draw(st.sampled_from([0, 0, 20, 150, 800]))
        for twin in (word for word in script if word.text == text):
            start = max(start, twin.start + apart + 1, twin.end + apart + 1 - length)
        script.append(Spoken(text, start, start + length))
        position = start + length
    return script


@st.composite
def heard_again(draw: st.DrawFn, script: list[Spoken], shift: int) -> list[Spoken]:
    """The script with every start and end moved by up to `shift`, still in order, cased and punctuated anyhow."""
    moved, floor = [], 0
    for word in script:
        start = max(floor, word.start + draw(st.integers(-shift, shift)))
        end = max(start, word.end + draw(st.integers(-shift, shift)))
        floor = end
        moved.append(Spoken(draw(st.sampled_from(DISGUISES))(word.text), start, end))
    return moved


def in_samples(words: list[Spoken]) -> list[Spoken]:
    return [Spoken(word.text, word.start * MS, word.end * MS) for word in words]


def texts(words: list[Spoken]) -> list[str]:
    return [word.text for word in words]


@settings(deadline=None)
@given(st.data())
def test_exact_when_the_window_holds_the_last_final_word(data: st.DataObject) -> None:
    script = data.draw(scripts(apart=2 * TOLERANCE))
    heard = data.draw(heard_again(script, TOLERANCE))
    cut = data.draw(st.integers(0, len(script)))
    first = data.draw(st.integers(0, max(cut - 1, 0)))
    known = data.draw(st.sampled_from([None, 0]))
    new = splice(in_samples(script[:cut]), in_samples(heard[first:]), window_start=known)
    assert texts(new) == texts(heard[cut:])


@settings(deadline=None)
@given(st.data())
def test_exact_when_the_window_starts_after_the_last_final_word(data: st.DataObject) -> None:
    script = data.draw(scripts(apart=2 * TOLERANCE))
    cut = data.draw(st.integers(0, len(script)))
    end = script[cut - 1].end if cut else 0
    # Nothing is heard before the window.
    heard = [
        Spoken(word.text, max(word.start, end), max(word.end, end))
        for word in data.draw(heard_again(script[cut:], TOLERANCE))
    ]
    # A twin that the shift brought back over the old one could be either.
    twins = [word for word in script[:cut] if heard and same_word(word.text, heard[0].text)]
    assume(all(heard[0].start - word.start > TOLERANCE and heard[0].end - word.end > TOLERANCE for word in twins))
    assert texts(splice(in_samples(script[:cut]), in_samples(heard), window_start=end * MS)) == texts(heard)


@settings(deadline=None)
@given(st.data())
def test_exact_when_the_window_cuts_a_word_before_the_last_final(data: st.DataObject) -> None:
    script = data.draw(scripts(apart=2 * TOLERANCE))
    assume(len(script) >= 2)
    heard = data.draw(heard_again(script, TOLERANCE))
    cut = data.draw(st.integers(2, len(script)))
    broken = data.draw(st.integers(0, cut - 2))
    fragment = Spoken("xyz", (heard[broken].start + heard[broken].end) // 2, heard[broken].end)
    new = splice(in_samples(script[:cut]), in_samples([fragment, *heard[broken + 1 :]]))
    assert texts(new) == texts(heard[cut:])


@settings(deadline=None)
@given(st.data())
def test_exact_when_the_window_cuts_the_last_final_and_nothing_moves_over_its_end(data: st.DataObject) -> None:
    script = data.draw(scripts(apart=2 * TOLERANCE))
    assume(script)
    cut = data.draw(st.integers(1, len(script)))
    last = script[cut - 1]
    middle = (last.start + last.end) // 2
    window = data.draw(st.integers(last.start + 1, middle))
    heard = [Spoken("xyz", window, last.end), *script[cut:]]
    assert texts(splice(in_samples(script[:cut]), in_samples(heard), window_start=window * MS)) == texts(heard[1:])


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 5), st.integers(250, 400), st.data())
def test_quick_repeats_are_counted_while_words_move_little(
    final: int, more: int, missing: int, apart: int, data: st.DataObject
) -> None:
    script = [Spoken("no", n * apart, n * apart + 150) for n in range(final + more)]
    heard = data.draw(heard_again(script, 25))[min(missing, final - 1) :]
    assert len(splice(in_samples(script[:final]), in_samples(heard))) == more


@settings(deadline=None)
@given(st.data())
def test_what_is_returned_is_in_order_after_the_last_final_and_from_the_hypothesis(data: st.DataObject) -> None:
    anything = st.lists(st.builds(Spoken, st.sampled_from(WORDS), st.integers(0, 3000), st.integers(0, 3000)))
    final = sorted(data.draw(anything), key=lambda word: word.start)
    final = [Spoken(word.text, word.start, max(word.start, word.end)) for word in final]
    heard = sorted(data.draw(anything), key=lambda word: word.start)
    heard = [Spoken(word.text, word.start, max(word.start, word.end)) for word in heard]
    new = splice(final, heard)
    floor = final[-1].end if final else 0
    for word in new:
        assert floor <= word.start <= word.end
        floor = word.end
    assert texts(new) == texts(heard)[len(heard) - len(new) :]


@settings(deadline=None)
@given(st.data())
def test_splicing_twice_adds_nothing(data: st.DataObject) -> None:
    script = in_samples(data.draw(scripts(apart=2 * TOLERANCE)))
    cut = data.draw(st.integers(0, len(script)))
    final = script[:cut] + splice(script[:cut], script)
    assert final == script
    assert splice(final, script) == []


@settings(deadline=None)
@given(st.data())
def test_old_finals_far_before_the_seam_change_nothing(data: st.DataObject) -> None:
    script = data.draw(scripts(apart=2 * TOLERANCE))
    shift = 1_000_000
    later = [Spoken(word.text, word.start + shift, word.end + shift) for word in script]
    cut = data.draw(st.integers(1, len(script))) if script else 0
    heard = data.draw(heard_again(later, TOLERANCE))
    new = splice(in_samples(script + later[:cut]), in_samples(heard))
    assert texts(new) == texts(heard[cut:] if cut else heard)

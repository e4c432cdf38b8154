"""Every sample tells its position, and a scripted recogniser hears where one does not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streaming_asr.engine import Window
from streamingstack_bench.coded_audio import coded_pcm, coded_samples, is_coded
from streamingstack_bench.scripted import OTHER_AUDIO, SILENCE, VOICE, Script, ScriptedEngine, ScriptedVoice

SCRIPT = Script.of("one two three", coded=True)
positions = st.integers(0, 3 * 3600 * 16_000)


@given(start=positions, length=st.integers(1, 5_000), cut=st.integers(0, 5_000))
def test_a_stretch_is_the_same_wherever_it_is_cut(start: int, length: int, cut: int) -> None:
    cut = min(cut, length)
    whole = coded_pcm(start, start + length)
    assert whole == coded_pcm(start, start + cut) + coded_pcm(start + cut, start + length)
    assert is_coded(np.frombuffer(whole, "<i2"), start)


@given(start=positions, elsewhere=positions, length=st.integers(16, 5_000))
def test_no_stretch_is_like_another(start: int, elsewhere: int, length: int) -> None:
    assert is_coded(coded_samples(elsewhere, elsewhere + length), start) == (start == elsewhere)


@given(length=st.integers(1, 5_000), data=st.data())
def test_a_single_sample_is_missed(length: int, data: st.DataObject) -> None:
    pcm = coded_samples(700, 700 + length).copy()
    pcm[data.draw(st.integers(0, length - 1))] ^= 1
    assert not is_coded(pcm, 700)


async def test_words_are_heard_in_their_own_audio_alone() -> None:
    engine = ScriptedEngine(SCRIPT)
    right = await engine.decode(Window(coded_samples(0, 32_000), 0))
    wrong = await engine.decode(Window(coded_samples(1, 32_001), 0))
    assert [word.text for word in right.words] == ["one", "two", "three"]
    assert [word.text for word in wrong.words] == [OTHER_AUDIO] * 3


@pytest.mark.parametrize("wrong_at", [None, 40])
async def test_voices_are_where_the_script_has_them_until_a_sample_is_wrong(wrong_at: int | None) -> None:
    pcm = coded_samples(0, 64 * 512).copy()
    if wrong_at is not None:
        pcm[wrong_at * 512] ^= 1
    voice = ScriptedVoice(SCRIPT).open(0)
    heard = [p for at in range(0, len(pcm), 8 * 512) for p in await voice.probabilities(pcm[at : at + 8 * 512])]
    expected = [VOICE if 500 <= (frame * 512 + 256) / 16 < 1480 else SILENCE for frame in range(64)]
    exchanged = [SILENCE if p == VOICE else VOICE for p in expected]
    assert heard == (expected if wrong_at is None else expected[:40] + exchanged[40:])

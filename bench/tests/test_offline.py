"""What is heard offline is kept by content: the same audio by the same weights is heard once."""

from pathlib import Path

import pytest
from model_store import default_cache, pull, pull_model
from stack_model.api import load_stack
from streamingstack_bench.clips import Clip
from streamingstack_bench.offline import WORD_TIMES_MODEL, OfflineWhisper, hear_all
from streamingstack_bench.word_times import Heard
from streamingstack_bench.wording import tokens, word_errors

ROOT = Path(__file__).parents[2]
EXAMPLE = Clip("libri", ROOT / "examples/audio/en_libri_1688-142285-0002.wav", "en", None)


def test_the_model_of_the_word_times_is_the_multilingual_one_of_the_examples():
    stack = load_stack(ROOT / "examples/universal.yaml")
    [multilingual] = [model for model in stack.spec.models if model.name == "ml-default"]
    assert tuple(multilingual.files) == WORD_TIMES_MODEL


def test_every_clip_is_heard_once_and_told_of(tmp_path):
    class Echo:
        def hear(self, clip: Clip) -> Heard:
            return Heard(clip.name)

    told = []
    clips = [Clip(name, tmp_path, "en", None) for name in "ab"]
    assert hear_all(Echo(), clips, lambda: told.append(1)) == {"a": Heard("a"), "b": Heard("b")}
    assert len(told) == 2


@pytest.mark.stack
def test_words_are_timed_within_the_audio_and_heard_once(tmp_path):
    model = pull(WORD_TIMES_MODEL, default_cache(), name="word times")
    first = OfflineWhisper(model, tmp_path, word_times=True).hear(EXAMPLE)
    assert len(first.words) >= 8
    assert [word.text for word in first.words] == first.text.split()
    ends = [word.end_s for word in first.words]
    assert ends == sorted(ends)
    assert 0 <= first.words[0].start_s < ends[-1] <= EXAMPLE.duration_s
    kept = OfflineWhisper(model, tmp_path, word_times=True)
    assert kept.hear(EXAMPLE) == first
    assert kept._loaded is None


@pytest.mark.stack
def test_the_weights_of_the_english_model_hear_the_example(tmp_path):
    stack = load_stack(ROOT / "examples/universal.yaml")
    model = pull_model(stack.spec.models[0], default_cache())
    whisper = OfflineWhisper(model, tmp_path, word_times=False)
    heard = whisper.hear(EXAMPLE)
    assert heard.words == ()
    base = OfflineWhisper(pull(WORD_TIMES_MODEL, default_cache()), tmp_path, word_times=True).hear(EXAMPLE)
    errors = word_errors(tokens(base.text, "en"), tokens(heard.text, "en"))
    assert errors.edits <= 0.2 * errors.words
    assert len(list((tmp_path / "bench").iterdir())) == 2

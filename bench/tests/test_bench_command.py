"""The command says in one line what is wrong with what it was asked."""

import json

import pytest
from streamingstack_bench.bench import choose, parameters, session_counts
from streamingstack_bench.clips import Clip
from streamingstack_bench.command import app
from streamingstack_bench.running import BenchError
from typer.testing import CliRunner


def ask(*argv, **environment):
    return CliRunner().invoke(app, argv, env={"COLUMNS": "200", "STREAMINGSTACK_AUDIO": "", **environment})


@pytest.fixture
def audio(tmp_path, silent_clip):
    for name in ("en_a.wav", "de_b.wav"):
        silent_clip(name, 0.5, None)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--sessions", "1,two"], "--sessions '1,two': expected numbers"),
        (["--sessions", "0"], "--sessions '0': expected numbers"),
        (["--param", "format_turns"], "--param 'format_turns': expected name=value"),
        (["--language", "cs"], "--language cs: no such recording; --audio has de, en"),
        (["--pid", "999999999"], "no process 999999999: is the stack running?"),
        (["--stack", "none.yaml"], "none.yaml"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(audio, argv, told):
    result = ask("--audio", audio, *argv)
    assert result.exit_code == 2
    assert told in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.stderr


def test_a_model_that_the_stack_does_not_serve_is_named(audio, tmp_path):
    stack = tmp_path / "stack.yaml"
    stack.write_text(
        json.dumps(
            {
                "apiVersion": "streamingstack.dev/v1alpha1",
                "kind": "StreamingStack",
                "metadata": {"name": "x"},
                "spec": {"models": [{"name": "m", "speechModels": ["u3-x"], "source": "file:///nowhere"}]},
            }
        )
    )
    result = ask("--audio", audio, "--stack", str(stack))
    assert result.exit_code == 2
    assert "universal-streaming-english: the stack of --stack serves u3-x" in result.stderr.replace("\n", " ")


def test_a_folder_without_recordings_is_named(tmp_path):
    result = ask("--audio", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert "STREAMINGSTACK_AUDIO" in result.stderr


def test_help_names_every_option():
    result = ask("--help")
    assert result.exit_code == 0
    for option in ("--sessions", "--duration", "--json", "--plot", "--markdown", "--stack", "--pid"):
        assert option in result.stdout


def test_counts_keep_their_order():
    assert session_counts("8,1, 2") == [8, 1, 2]


def test_parameters_may_hold_equals_signs():
    assert parameters(["prompt=a=b", "format_turns=true"]) == {"prompt": "a=b", "format_turns": "true"}


def test_clips_are_chosen_by_language_origin_and_number(tmp_path):
    clips = [Clip(f"{n}", tmp_path, language, None, n == 1) for n, language in enumerate(["en", "en", "de", "en"])]
    assert [c.name for c in choose(clips, ["en"], None, recorded_only=True)] == ["0", "3"]
    assert [c.name for c in choose(clips, ["en"], 2, recorded_only=False)] == ["0", "1"]
    assert [c.name for c in choose(clips, [], 2, recorded_only=False)] == ["0", "2"]
    assert len(choose(clips, [], None, recorded_only=False)) == 4
    with pytest.raises(BenchError, match="--language fr"):
        choose(clips, ["fr"], None, recorded_only=False)

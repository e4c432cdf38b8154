"""What a terminal shows, and what a pipe gets instead."""

import io
from pathlib import Path
from typing import Any

import pytest
from model_store import pull
from rich.console import Console
from stack_model.api import ModelFile
from streamingstack_cli.live import Show
from streamingstack_cli.model_progress import Bars, Lines, told
from streamingstack_cli.transcript import Turn, Word


def partial(text: str) -> dict[str, Any]:
    return {"words": [{"text": word} for word in text.split()]}


TURN = Turn(0, "Hello there.", (Word("Hello", 61_200, 61_500), Word("there.", 61_600, 61_900)), {})


def test_a_pipe_gets_a_line_for_every_change_and_every_turn() -> None:
    out = io.StringIO()
    with Show(Console(file=out, width=20)) as show:
        for text in ("", "hello", "hello", "hello there"):
            show.partial(partial(text))
        show.final(TURN)
    assert out.getvalue() == "  ... hello\n  ... hello there\n[01:01.2] Hello there.\n"


def test_a_terminal_keeps_turns_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    out = io.StringIO()
    with Show(Console(file=out, force_terminal=True, width=80)) as show:
        show.partial(partial("hello there"))
        show.final(TURN)
        show.line("2 words")
    assert "Hello there." in out.getvalue()
    assert out.getvalue().rstrip().count("\n") >= 2


def test_markup_in_what_was_said_is_text() -> None:
    out = io.StringIO()
    with Show(Console(file=out)) as show:
        show.final(Turn(0, "[red]stop[/red] [/]", (), {}))
    assert out.getvalue() == "[00:00.0] [red]stop[/red] [/]\n"


@pytest.mark.parametrize(("terminal", "kind"), [(True, Bars), (False, Lines)])
def test_a_download_is_told_by_name_and_size(tmp_path: Path, terminal: bool, kind: type) -> None:
    source, out = tmp_path / "weights", io.StringIO()
    source.write_bytes(bytes(2_000_000))
    digest = "2d58e40a4b30e6c1e4f2b5ee6ea8bbd1cd2d3e4a2e8ad6f0f7a9a3f0cf5a9e4c"
    file = ModelFile(path="model.bin", parts=[f"file://{source}"], sha256=digest)
    with told(Console(file=out, force_terminal=terminal, width=120)) as progress:
        assert isinstance(progress, kind)
        with pytest.raises(Exception, match=r"model\.bin: sha256 is"):
            pull([file], tmp_path / "cache", progress)
    assert "model.bin" in out.getvalue()
    assert "2.0" in out.getvalue()

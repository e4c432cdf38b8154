"""A session as it goes on: partials that change in place on a terminal, plain lines elsewhere."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from streamingstack_cli.transcript import Turn


class Show:
    """Use as a context manager; everything said goes through `partial` and `final`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=12, transient=True) if console.is_terminal else None
        self._last = ""

    def __enter__(self) -> "Show":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def partial(self, message: Mapping[str, Any]) -> None:
        """The open turn's words as they stand."""
        text = " ".join(str(word["text"]) for word in message["words"])
        if text == self._last:
            return
        self._last = text
        if self._live:
            self._live.update(Text(f"  {text}", style="dim"))
        elif text:
            self._print(Text(f"  ... {text}"))

    def final(self, turn: Turn) -> None:
        """A turn that is over."""
        self._last = ""
        if self._live:
            self._live.update(Text(""))
        self._print(Text.assemble((f"[{turn.start // 60000:02}:{turn.start / 1000 % 60:04.1f}] ", "cyan"), turn.text))

    def line(self, text: str) -> None:
        """Anything else."""
        self._print(Text(text))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

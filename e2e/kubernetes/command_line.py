"""The `streamingstack` command, as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

# Tables as wide as a log: no line is broken.
_TERMINAL = {"COLUMNS": "220", "NO_COLOR": "1"}


def streamingstack(*argv: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
    """What it prints, and its exit status; TimeoutExpired after `seconds`."""
    program = Path(sys.executable).parent / "streamingstack"
    return subprocess.run(
        [str(program), *argv],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        env={**os.environ, **_TERMINAL},
    )

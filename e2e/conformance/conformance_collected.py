"""Which tests are which checks, as pytest itself collects them.

As a plugin (`-p conformance_collected --conformance-to FILE`) it writes one JSON line for each mark of a test;
`collected` runs pytest so and reads them.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MARK = "mark.check("


@dataclass(frozen=True)
class CheckedBy:
    """`test` is `path::name` without parameters, `fixtures` all that it uses, `evaded` whether it may be skipped."""

    number: int
    test: str
    fixtures: frozenset[str]
    evaded: bool


def pytest_addoption(parser: pytest.Parser) -> None:
    """Where to write."""
    parser.addoption("--conformance-to", default=None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Write down every mark."""
    if (path := config.getoption("--conformance-to")) is None:
        return
    lines = [json.dumps(found) for item in items for found in _marks(item)]
    Path(path).write_text("".join(f"{line}\n" for line in lines))


def _marks(item: pytest.Item) -> list[dict[str, Any]]:
    evaded = any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail"))
    found = {
        "test": item.nodeid.split("[", 1)[0],
        "fixtures": sorted(getattr(item, "fixturenames", ())),
        "evaded": evaded,
    }
    return [{"number": number, **found} for mark in item.iter_markers("check") for number in mark.args]


def marked_files() -> list[Path]:
    """Test files that mark a check."""
    folders = [ROOT / "services", ROOT / "e2e"]
    files = (file for folder in folders for file in sorted(folder.rglob("test_*.py")) if ".venv" not in file.parts)
    return [file for file in files if MARK in file.read_text()]


def collected(files: Sequence[Path] | None = None) -> list[CheckedBy]:
    """Every mark in these files, else in all. Raises RuntimeError where pytest cannot collect them."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "marks.jsonl"
        command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            [*command, "-p", __name__, "--conformance-to", str(out), *map(str, files or marked_files())],
            check=False,
            cwd=ROOT,
            env={**environment, "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            timeout=200,
        )
        if done.returncode or not out.exists():
            raise RuntimeError(f"the tests cannot be collected:\n{(done.stdout + done.stderr)[-3000:]}")
        found = [json.loads(line) for line in out.read_text().splitlines()]
    return [CheckedBy(**{**mark, "fixtures": frozenset(mark["fixtures"])}) for mark in found]

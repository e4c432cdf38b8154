"""What `up` says when a stack is ready, followed to the letter."""

import asyncio
import io
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from rich.console import Console
from stack_model.api import load_stack
from stack_model.local import local_ports
from streamingstack_cli.layout import TlsFiles
from streamingstack_cli.prepare import LocalStack
from streamingstack_cli.welcome import RECORDING, welcome

from .conftest import EXAMPLES, ROOT, gateway, layout_of
from .test_recording import wav

MINIMAL = EXAMPLES / "minimal.yaml"
KEY = "key-of-this-test"


def said(
    state: Path,
    url: str = "ws://127.0.0.1:8080",
    key: str = KEY,
    width: int = 40,
    file: Path = MINIMAL,
    tls: TlsFiles | None = None,
) -> str:
    """What a terminal of this width is shown for a stack at this URL."""
    stack, port = load_stack(file), urlsplit(url).port
    layout = replace(layout_of(file, state), ports=local_ports(stack, 0, port), tls=tls)
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    welcome(LocalStack(stack, layout, (), key), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def program_of(text: str) -> str:
    """From the line after "From Python:" to the line before "Ctrl-C"."""
    return text.split("From Python:\n")[1].split("Ctrl-C")[0]


async def executed(program: str, folder: Path) -> tuple[int, str, str]:
    """Status and output of a program run from a folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has the recording that the program names, six seconds long: the script has the words."""
    recording = tmp_path / RECORDING
    recording.parent.mkdir(parents=True)
    recording.write_bytes(wav(bytes(6 * 32000)))
    return tmp_path


async def test_the_printed_program_hears_partials_and_finals_when_pasted_as_it_is(folder: Path) -> None:
    keys = folder / "keys"
    keys.write_text(sha256(KEY.encode()).hexdigest())
    async with gateway(keys) as url:
        began = asyncio.get_running_loop().time()
        status, out, err = await executed(program_of(said(folder, url)), folder)
        took = asyncio.get_running_loop().time() - began
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert any(line.startswith("... hello") for line in lines[: lines.index("final hello there this is a test")])
    assert [line for line in lines if line.startswith("final")] == ["final hello there this is a test", "final done"]
    assert took >= 5.9, "paced as somebody speaks"


def test_where_recordings_go_is_said_where_they_may(tmp_path: Path) -> None:
    assert "http://127.0.0.1:8083/transcribe\n" in said(tmp_path, file=EXAMPLES / "sync.yaml")
    assert "transcribe\n" not in said(tmp_path)


def test_a_start_with_a_certificate_says_that_the_sync_api_has_none(tmp_path: Path) -> None:
    certificate = TlsFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    text = said(tmp_path, file=EXAMPLES / "sync.yaml", tls=certificate)
    assert "\n  sync API http://127.0.0.1:8083/transcribe (plain HTTP: the certificate is for the URL alone)\n" in text


async def test_the_printed_program_says_why_it_is_refused(folder: Path) -> None:
    keys = folder / "keys"
    keys.write_text(sha256(b"another key").hexdigest())
    async with gateway(keys) as url:
        status, out, err = await executed(program_of(said(folder, url)), folder)
    assert (status, out) == (0, "")
    assert "Invalid API key" in err


def test_it_names_url_key_logs_and_a_recording_that_is_there(tmp_path: Path) -> None:
    text = said(tmp_path, "ws://127.0.0.1:18080")
    assert "\n  URL      ws://127.0.0.1:18080\n" in text
    assert f"\n  API key  {KEY}\n" in text
    assert f"\n  logs     {tmp_path}/logs\n" in text
    assert f"\nstreamingstack transcribe FILE.wav --url ws://127.0.0.1:18080 --api-key {KEY}\n" in text
    assert (ROOT / RECORDING).is_file()


def test_a_narrow_terminal_breaks_no_line_of_it(tmp_path: Path) -> None:
    assert said(tmp_path, width=20) == said(tmp_path, width=400)
    assert "\x1b" not in said(tmp_path)


def test_the_readme_has_the_same_program(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"```python\n{program_of(said(tmp_path, key='<the key>')).strip()}\n```" in readme

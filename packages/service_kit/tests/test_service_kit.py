"""What every service shares."""

import asyncio
import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import Field
from service_kit.drain import terminate_event
from service_kit.faults import place_of, way_of
from service_kit.http import metrics_app, serve_http
from service_kit.logs import get_logger
from service_kit.outages import Outage
from service_kit.settings import ServiceSettings, load_settings
from service_kit.watched_file import WatchedFile


class Example(ServiceSettings):
    """Settings of a service with a key."""

    port: int = Field(validation_alias="EXAMPLE_PORT")
    api_key: str = Field(default="", validation_alias="EXAMPLE_KEY")


def test_a_missing_variable_is_named_and_nothing_that_was_read_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXAMPLE_KEY", "very-secret")
    with pytest.raises(SystemExit) as stopped:
        load_settings(Example)
    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert "EXAMPLE_PORT" in shown
    assert "very-secret" not in shown


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("EXAMPLE_PORT", "eighty")
    with pytest.raises(SystemExit):
        load_settings(Example)
    assert "EXAMPLE_PORT" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["LOGGING_LEVEL", "AAI_LOG_LEVEL"])
def test_the_vendors_names_are_accepted(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "debug")
    assert ServiceSettings().log_level == "debug"


def test_a_log_line_is_one_json_object() -> None:
    code = (
        "from service_kit.logs import configure_logs, get_logger\n"
        "configure_logs('demo', structured=True, level='INFO')\n"
        "get_logger('x').info('something happened', count=3)\n"
        "import logging; logging.getLogger('library').warning('as well')\n"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    first, second = (json.loads(line) for line in shown.splitlines())
    assert (first["event"], first["count"], first["service"], first["level"]) == (
        "something happened",
        3,
        "demo",
        "info",
    )
    assert (second["event"], second["level"]) == ("as well", "warning")


A_TASK = """
async def dies():
    raise ValueError('aubergine')

async def main():
    asyncio.create_task(dies())
    await asyncio.sleep(0.01)
    gc.collect()

asyncio.run(main())
"""
A_CALLBACK = """
def dies(said):
    raise ValueError(said)

async def main():
    asyncio.get_running_loop().call_soon(dies, 'aubergine')
    await asyncio.sleep(0.01)

asyncio.run(main())
"""
HANDLED = """
try:
    raise ValueError('aubergine')
except ValueError as failure:
    {}
"""


@pytest.mark.parametrize(
    ("code", "event", "structured"),
    [
        (A_TASK, "Task exception was never retrieved", True),
        (A_TASK, "Task exception was never retrieved", False),
        (A_CALLBACK, "Exception in callback dies", True),
        (HANDLED.format("logging.getLogger('x').exception('a library failed')"), "a library failed", True),
        (HANDLED.format("logging.getLogger('x').exception(f'it quotes: {failure}')"), "it quotes: ...", True),
        (HANDLED.format("get_logger('x').exception('we failed')"), "we failed", True),
        (HANDLED.format("get_logger('x').error('we failed', exc_info=failure)"), "we failed", True),
    ],
    ids=["a task", "a task, for people", "a callback", "a library", "a library that quotes", "our own", "by name"],
)
def test_of_an_exception_type_and_place_are_logged_and_never_its_text(code: str, event: str, structured: bool) -> None:
    before = (
        "import asyncio, gc, logging; from service_kit.logs import configure_logs, get_logger\n"
        f"configure_logs('demo', structured={structured}, level='DEBUG')\n"
    )
    done = subprocess.run([sys.executable, "-c", before + code], capture_output=True, text=True, check=True)
    line = done.stderr.splitlines()[-1]
    for told in (event, "ValueError", "<string>:5"):
        assert told in line
    assert "aubergine" not in done.stdout + done.stderr


def test_the_way_of_an_exception_is_told_from_where_it_was_caught() -> None:
    def inner() -> None:
        raise ValueError("aubergine")

    def outer() -> None:
        inner()

    with pytest.raises(ValueError, match="aubergine") as caught:
        outer()
    way = way_of(caught.value)
    assert [place.rpartition(":")[0] for place in way] == ["test_service_kit.py"] * 3
    assert way[-1] == place_of(caught.value)
    assert (way_of(ValueError()), place_of(ValueError())) == ([], "unknown")


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
async def test_no_url_of_an_outgoing_request_is_logged(level: str) -> None:
    registry = CollectorRegistry()
    async with serve_http(metrics_app(registry), "127.0.0.1", 0) as port:
        code = (
            "from service_kit.logs import configure_logs, get_logger\n"
            f"configure_logs('demo', structured=True, level='{level}')\n"
            "import httpx2\n"
            f"httpx2.get('http://127.0.0.1:{port}/metrics?signature=very-secret', trust_env=False)\n"
            "get_logger('x').info('asked')\n"
        )
        asked = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        _, shown = await asked.communicate()
    assert b"asked" in shown
    assert b"very-secret" not in shown


async def test_metrics_are_served_on_a_free_port_and_the_port_is_freed() -> None:
    registry = CollectorRegistry()
    Counter("turns", "Turns", registry=registry).inc(2)
    async with serve_http(metrics_app(registry), "127.0.0.1", 0) as port, httpx2.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        assert "turns_total 2.0" in answer.text
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_a_taken_port_is_an_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            async with serve_http(metrics_app(CollectorRegistry()), "127.0.0.1", taken.getsockname()[1]):
                pass


async def test_sigterm_is_an_event() -> None:
    event = terminate_event()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(2):
        await event.wait()
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)


def test_an_outage_is_told_once_and_its_end_where_there_is_a_word_for_it(capfd: pytest.CaptureFixture[str]) -> None:
    told = Outage(get_logger("here"), "away", "back")
    quiet = Outage(get_logger("here"), "gone")
    for outage in (told, quiet):
        outage.answered()
        for _ in range(3):
            outage.failed(ValueError("quoted"))
        assert not outage.over
        outage.answered()
        assert outage.over
    logged = "".join(capfd.readouterr())
    assert [logged.count(event) for event in ("away", "back", "gone", "ValueError", "quoted")] == [1, 1, 1, 2, 0]


def test_a_changed_file_that_cannot_be_read_is_read_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    watched = WatchedFile(file, str)
    file.write_text("newer")

    def stale(_: Path) -> bytes:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as broken:
        for name in ("read_bytes", "read_text"):
            broken.setattr(Path, name, stale)
        assert watched.content() == "old"
    assert watched.content() == "newer"


def test_a_changed_file_that_is_wrong_is_told_once_and_not_read_again(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    read: list[str] = []

    def number(text: str) -> int:
        read.append(text)
        return int(text)

    watched = WatchedFile(file, number)
    file.write_text("one")
    assert [watched.content() for _ in range(3)] == [1, 1, 1]
    assert read == ["1", "one"]

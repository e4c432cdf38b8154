"""What `helm test` runs: it passes where the words come back, and says why where it does not, never what was heard."""

import importlib.util
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from rendered_chart import CHART
from websockets.sync.server import ServerConnection, serve

FILE = CHART / "files" / "speak.py"


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("speak", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def _gateway(answer: Callable[[ServerConnection], None]) -> Iterator[str]:
    with serve(answer, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v3/ws"
        server.shutdown()


def _hears(transcript: str, seen: list[str]) -> Callable[[ServerConnection], None]:
    def answer(link: ServerConnection) -> None:
        assert link.request is not None
        seen.extend([link.request.path, link.request.headers["Authorization"]])
        heard = 0
        while isinstance(message := link.recv(), bytes):
            heard += len(message)
        seen.append(str(heard))
        for event in (
            {"type": "Turn", "end_of_turn": False, "turn_order": 0, "transcript": "half of"},
            {"type": "Turn", "end_of_turn": True, "turn_order": 0, "transcript": transcript},
            {"type": "Termination"},
        ):
            link.send(json.dumps(event))

    return answer


def _run(url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    for name, value in {"GATEWAY_URL": url, "SPEECH_MODEL": "en", "API_KEY": "k", "PATIENCE_SECONDS": "0"}.items():
        monkeypatch.setenv(name, value)
    return int(_script().main())


@pytest.mark.parametrize(
    ("transcript", "status"),
    [("You don't mean that you thought me so silly.", 0), ("You don't mean that", 1), ("", 1)],
)
def test_it_passes_where_the_words_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], transcript: str, status: int
) -> None:
    seen: list[str] = []
    with _gateway(_hears(transcript, seen)) as url:
        assert _run(url, monkeypatch) == status
    assert seen == ["/v3/ws?sample_rate=16000&speech_model=en", "k", str(90764 - 44)]
    assert "silly" not in "".join(capsys.readouterr())


def test_a_session_that_is_refused_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with _gateway(lambda link: link.close(1008, "no such key")) as url:
        assert _run(url, monkeypatch) == 1
    assert "no such key" in capsys.readouterr().err

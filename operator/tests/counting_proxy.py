"""A way to the API server that counts writes and calls out after one of them, before its answer is passed on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

import yaml
from e2e_cluster.reading import Reader

_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length", "authorization"}


class CountingProxy:
    """`kubeconfig` leads through it, as whoever `kubeconfig` of the constructor is.

    `after` is called once, with the way back still held, when `is_last(number, path)` first holds of a write that the
    API server has carried out; from then on no write gets through.
    """

    def __init__(self, folder: Path) -> None:
        self.kubeconfig = folder / "proxied-kubeconfig"
        self.written: list[str] = []
        self.is_last: Callable[[int, str], bool] = lambda *_: False
        self.after: Callable[[], None] = lambda: None
        self.closed = False
        self.lock = Lock()

    def ends_with(self, path: str) -> bool:
        """Count one write; True where it is the last."""
        self.written.append(path)
        self.closed = self.closed or self.is_last(len(self.written), path)
        return self.closed


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: CountingProxy, upstream: Callable[[], HTTPSConnection]) -> None:
        self.proxy = proxy
        self.upstream = upstream
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._exchange(last=lambda: False)

    def do_PATCH(self) -> None:
        proxy, path = self.server.proxy, urlsplit(self.path).path
        with proxy.lock:
            if proxy.closed:
                self.close_connection = True
            else:
                self._exchange(last=lambda: proxy.ends_with(path))

    do_POST = do_PUT = do_DELETE = do_PATCH

    def log_message(self, *_: Any) -> None:
        pass

    def _exchange(self, last: Callable[[], bool]) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _ONE_HOP}
        upstream = self.server.upstream()
        try:
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            if last():
                self.server.proxy.after()
                self.close_connection = True
            else:
                self._answer(answer)
        except (OSError, HTTPException):  # either side went, as one that was killed
            self.close_connection = True
        finally:
            upstream.close()

    def _answer(self, answer: HTTPResponse) -> None:
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _ONE_HOP:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while chunk := answer.read1(65536):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def counting_proxy(kubeconfig: Path, folder: Path) -> Iterator[CountingProxy]:
    """Served on loopback as long as the context lasts."""
    proxy = CountingProxy(folder)
    upstream = Reader(kubeconfig)
    server = urlsplit(upstream.server).netloc
    with _Server(proxy, lambda: HTTPSConnection(server, context=upstream.tls, timeout=600)) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        proxy.kubeconfig.write_text(plain_kubeconfig(f"http://127.0.0.1:{listening.server_port}"))
        yield proxy
        listening.shutdown()


def plain_kubeconfig(url: str) -> str:
    """Of an API server that asks for no credentials."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxied",
            "clusters": [{"name": "proxied", "cluster": {"server": url}}],
            "users": [{"name": "proxied", "user": {}}],
            "contexts": [{"name": "proxied", "context": {"cluster": "proxied", "user": "proxied"}}],
        }
    )

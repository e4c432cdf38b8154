"""A real licence proxy: its own process, real sockets, real SQLite."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from license_token import Claims, SigningKey, development_claims, issue

DEADLINE_SECONDS = 60.0


class Issuer:
    """Issues licences to the test."""

    def __init__(self) -> None:
        self.key = SigningKey.generate()
        self.now = datetime.now(UTC).replace(microsecond=0)

    def claims(self, **changed: Any) -> Claims:
        return development_claims("acme", self.now).model_copy(update=changed)

    def token(self, key: SigningKey | None = None, **changed: Any) -> str:
        key = key or self.key
        return issue(self.claims(**changed), key.private_key, key.key_id)

    def expired(self, **changed: Any) -> str:
        begun = self.now - timedelta(days=60)
        return self.token(**({"issued_at": begun, "expires_at": self.now - timedelta(days=1)} | changed))


def eventually(holds: Callable[[], Any], what: str) -> Any:
    """The first true answer of `holds`, asked until the deadline."""
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        if answer := holds():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {DEADLINE_SECONDS} s: {what}")


@dataclass
class Proxy:
    """One process and where its files lie."""

    process: subprocess.Popen[bytes]
    log_path: Path
    state_dir: Path
    _client: httpx2.Client | None = field(default=None)

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's records of one event."""
        lines = [
            json.loads(line) for line in self.log.splitlines(keepends=True) if line.startswith("{") and "\n" in line
        ]
        return [line for line in lines if line["event"] == name]

    @property
    def port(self) -> int:
        def ready() -> list[dict[str, Any]]:
            assert self.process.poll() is None, self.log
            return self.events("licence proxy ready")

        return int(eventually(ready, "ready")[0]["port"])

    @property
    def client(self) -> httpx2.Client:
        if self._client is None:
            self._client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        return self._client

    def get(self, path: str) -> Any:
        reply = self.client.get(path)
        assert reply.status_code == 200, reply.text
        return reply.json()

    @property
    def state(self) -> str:
        return str(self.get("/v1/status")["state"])

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + " "))

    def post(self, *events: dict[str, Any]) -> httpx2.Response:
        return self.client.post("/v1/usage", json={"events": events})

    def fds(self) -> int:
        return int(psutil.Process(self.process.pid).num_fds())

    def wait(self) -> int:
        """The exit status of a process that ends by itself."""
        return self.process.wait(DEADLINE_SECONDS)

    def end(self) -> int:
        if self._client is not None:
            self._client.close()
        self.process.terminate()
        return self.wait()


@dataclass
class Site:
    """A folder with a licence and keys, where proxies are started."""

    root: Path
    issuer: Issuer
    started: list[Proxy] = field(default_factory=list)
    eventually = staticmethod(eventually)

    @property
    def license_path(self) -> Path:
        return self.root / "license.jwt"

    @property
    def keys_path(self) -> Path:
        return self.root / "public-keys.json"

    def start(self, state_dir: Path | None = None, unset: tuple[str, ...] = (), **environment: str) -> Proxy:
        state_dir = state_dir or self.root / "state"
        log_path = self.root / f"proxy-{len(self.started)}.log"
        own = {
            "HOST": "127.0.0.1",
            "SERVER_PORT": "0",
            "LICENSE_FILE_PATH": str(self.license_path),
            "LICENSE_PUBLIC_KEYS_PATH": str(self.keys_path),
            "LICENSE_RELOAD_SECONDS": "0.05",
            "STATE_DIR": str(state_dir),
        }
        whole = {name: value for name, value in (os.environ | own | environment).items() if name not in unset}
        with log_path.open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "license_proxy"], env=whole, stdout=log, stderr=log)
        self.started.append(Proxy(process, log_path, state_dir))
        return self.started[-1]

    def end_all(self) -> None:
        for proxy in self.started:
            if proxy._client is not None:
                proxy._client.close()
            if proxy.process.poll() is None:
                proxy.process.kill()
            proxy.wait()

    def write_license(self, token: str) -> None:
        temporary = self.root / "license.tmp"
        temporary.write_text(token + "\n")
        temporary.rename(self.license_path)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def make_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Site]]:
    """Makes sites with a good licence; what was started there ends with the module."""
    sites: list[Site] = []

    def make() -> Site:
        site = Site(tmp_path_factory.mktemp("site"), Issuer())
        site.keys_path.write_text(site.issuer.key.public_keys().to_json())
        site.write_license(site.issuer.token())
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.end_all()


@pytest.fixture
def site(make_site: Callable[[], Site]) -> Iterator[Site]:
    """A site with a good licence; what was started there ends with the test."""
    site = make_site()
    yield site
    site.end_all()


@pytest.fixture
def event() -> Callable[..., dict[str, Any]]:
    """Makes a usage event; keywords change its fields."""

    def make(session_id: str = "s1", sequence: int = 1, **changed: Any) -> dict[str, Any]:
        usual = {
            "audio_ms": sequence * 5000,
            "session_ms": sequence * 5001,
            "model": "universal-streaming-english",
            "tenant": "team-a",
            "started_at": "2026-05-01T12:00:00+00:00",
            "ended": False,
        }
        return {"session_id": session_id, "sequence": sequence} | usual | changed

    return make

"""Usage that was acknowledged is never lost; usage that cannot be written is refused; nobody can wear the proxy out."""

import contextlib
import os
import resource
import socket
import sqlite3
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from license_proxy.app import MAX_BODY_BYTES
from license_proxy.ledger import FILE_NAME


def stored(state_dir: Path) -> dict[str, int]:
    """Sequence by session, as the next start would find it."""
    with contextlib.closing(sqlite3.connect(state_dir / FILE_NAME)) as connection:
        return dict(connection.execute("SELECT session_id, sequence FROM usage").fetchall())


def test_events_in_any_order_and_again_leave_the_highest_sequence(site: Any, event: Any) -> None:
    proxy = site.start()
    sent = [event("a", 3, ended=True), event("a", 1), event("b", 2), event("a", 2)]
    for _ in range(2):
        assert proxy.post(*sent).json() == {"accepted": 4}
    assert proxy.post().json() == {"accepted": 0}
    assert stored(proxy.state_dir) == {"a": 3, "b": 2}
    assert proxy.metric("license_proxy_usage_sessions_pending") == 2
    assert proxy.metric("license_proxy_usage_events_accepted_total") == 8


def test_a_wrong_event_refuses_the_whole_batch_by_name_and_writes_nothing(site: Any, event: Any) -> None:
    proxy = site.start()
    reply = proxy.post(event("a", 1), event("b", 1, audio_ms=-5))
    assert reply.status_code == 422
    assert reply.json()["fields"] == [
        {"field": "events[1].audio_ms", "problem": "Input should be greater than or equal to 0"}
    ]
    assert stored(proxy.state_dir) == {}


def test_a_body_beyond_all_measure_is_refused_before_it_is_kept(site: Any) -> None:
    proxy = site.start()

    def endless() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 65536 + 1):
            yield b" " * 65536

    with contextlib.suppress(httpx2.WriteError):  # it may hang up on the rest of the body, which is as good
        assert proxy.client.post("/v1/usage", content=endless()).status_code == 413
    assert proxy.client.get("/health").status_code == 200
    assert proxy.metric('license_proxy_usage_requests_refused_total{reason="too_large"}') == 1


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(site: Any, event: Any) -> None:
    """Writers post without pause; the process is killed in the middle of it, three times over."""
    acknowledged: dict[str, int] = {}
    for round_number in range(3):
        proxy = site.start()
        url = f"http://127.0.0.1:{proxy.port}/v1/usage"
        enough = threading.Event()

        def write(name: str, first: int, url: str, enough: threading.Event) -> None:
            with httpx2.Client(timeout=30) as client:
                for sequence in range(first, first + 100_000):
                    try:
                        if client.post(url, json={"events": [event(name, sequence)]}).status_code != 200:
                            return
                    except httpx2.TransportError:
                        return
                    acknowledged[name] = sequence
                    if sequence - first >= 20:
                        enough.set()

        threads = [
            threading.Thread(target=write, args=(f"s{n}", round_number * 100_000, url, enough)) for n in range(4)
        ]
        for thread in threads:
            thread.start()
        assert enough.wait(30)
        proxy.process.kill()
        for thread in threads:
            thread.join(30)
        proxy.wait()
        on_disk = stored(proxy.state_dir)
        assert all(on_disk[name] >= sequence for name, sequence in acknowledged.items())


def first_refusal(site: Any, proxy: Any, batch: list[dict[str, Any]]) -> httpx2.Response:
    """Post until there is no more space."""
    replies: list[httpx2.Response] = []

    def refused() -> bool:
        replies.append(proxy.post(*batch))
        return replies[-1].status_code != 200

    site.eventually(refused, "a refusal")
    return replies[-1]


def assert_refused(reply: httpx2.Response) -> None:
    assert reply.status_code == 503
    assert "STATE_DIR" in reply.json()["error"]
    assert int(reply.headers["retry-after"]) > 0


def test_a_disk_that_takes_no_more_is_a_503_until_it_does_again(site: Any, event: Any) -> None:
    """The kernel refuses every write beyond a file size, as it does on a full disk, and then allows it again."""
    proxy = site.start()
    assert proxy.post(event("before", 1)).status_code == 200
    running = psutil.Process(proxy.process.pid)
    largest = max(path.stat().st_size for path in proxy.state_dir.iterdir())
    running.rlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    filler = [event(f"filler-{number}", 1) for number in range(1000)]
    assert_refused(first_refusal(site, proxy, filler))
    assert proxy.state == "Ready"
    assert proxy.client.get("/metrics").status_code == 200
    assert proxy.process.poll() is None
    running.rlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert proxy.post(event("after", 1)).status_code == 200
    assert {"before", "after"} <= stored(proxy.state_dir).keys()
    assert len(proxy.events("usage cannot be written")) == len(proxy.events("usage is written again")) == 1


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small volume needs root; the test of the file size limit covers the rest")
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    return filler


def test_a_full_volume_is_a_503_and_a_volume_with_space_again_is_not(site: Any, event: Any, small_volume: Path) -> None:
    proxy = site.start(state_dir=small_volume / "state")
    assert proxy.post(event("before", 1)).status_code == 200
    filler = fill(small_volume)
    batch = [event(f"s{number}", 1) for number in range(200)]
    assert_refused(first_refusal(site, proxy, batch))
    assert proxy.state == "Ready"
    assert proxy.metric("license_proxy_storage_available") == 0
    filler.unlink()
    assert proxy.post(*batch, event("after", 1)).status_code == 200
    assert proxy.metric("license_proxy_storage_available") == 1
    assert stored(proxy.state_dir).keys() >= {"before", "after", "s0", "s199"}
    assert proxy.end() == 0


def test_it_starts_on_a_full_volume_serves_the_licence_and_takes_usage_once_there_is_space(
    site: Any, event: Any, small_volume: Path
) -> None:
    filler = fill(small_volume)
    proxy = site.start(state_dir=small_volume / "state")
    assert proxy.state == "Ready"
    assert_refused(proxy.post(event()))
    filler.unlink()
    assert proxy.post(event()).status_code == 200


REQUEST = b"POST /v1/usage HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n"
STAGES: dict[str, bytes] = {
    "connected": b"",
    "in the headers": REQUEST[:30],
    "before the body": REQUEST,
    "in the body": REQUEST + b'{"events": [{"session_id": "gone',
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00",
    "before the answer": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
}


def drop(port: int, sent: bytes, *, reset: bool) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_two_thousand_connections_dropped_at_every_stage_leave_nothing_behind(site: Any, event: Any) -> None:
    proxy = site.start()
    assert proxy.post(event()).status_code == 200
    assert proxy.client.get("/metrics").status_code == 200
    before, port = proxy.fds(), proxy.port
    stages: list[bytes] = list(STAGES.values())
    for number in range(2000):
        drop(port, stages[number % len(stages)], reset=number % 2 == 0)
    site.eventually(lambda: proxy.fds() <= before, f"back to {before} file descriptors")
    assert proxy.post(event("after")).status_code == 200
    assert "Traceback" not in proxy.log
    assert stored(proxy.state_dir).keys() == {"s1", "after"}


def test_no_token_and_no_key_is_ever_logged(site: Any, event: Any) -> None:
    proxy = site.start(USAGE_TRACKING_API_KEY="hush-hush", LOGGING_LEVEL="DEBUG")
    proxy.post(event(), event("bad id"))
    token = site.license_path.read_text().strip()
    site.write_license(token[:-8] + "AAAAAAAA")
    site.eventually(lambda: proxy.events("licence file not taken, the one in force stays"), "the refusal")
    assert proxy.end() == 0
    secrets: list[str] = ["hush-hush", *token.split(".")]
    assert not [secret for secret in secrets if secret in proxy.log]

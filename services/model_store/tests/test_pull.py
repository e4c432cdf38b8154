"""Pulling over HTTP from a server that misbehaves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from model_store import (
    Cache,
    SourceError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnreachableError,
    WrongDigestError,
    default_cache,
    model_digest,
    pull,
    pull_model,
    pull_source,
)
from stack_model.api import Model

from .conftest import QUICK, FileServer, model_file

CONTENT = os.urandom(1 << 20)


def test_a_model_lies_under_the_digest_of_its_files(server: FileServer, cache: Path) -> None:
    server.files = {"/a": b"first", "/b": b"second"}
    files = [model_file("x/a.bin", b"first", f"{server.url}/a"), model_file("b.bin", b"second", f"{server.url}/b")]
    folder = pull(files, cache, retry=QUICK)
    assert folder == cache / "models" / model_digest({file.path: file.sha256 for file in files})
    assert (folder / "x/a.bin").read_bytes() == b"first"
    assert (folder / "b.bin").read_bytes() == b"second"
    assert not list((cache / "partial").iterdir())


def test_parts_are_joined_in_order(server: FileServer, cache: Path) -> None:
    server.files = {"/1": b"one ", "/2": b"two ", "/3": b"three"}
    parts = [f"{server.url}/{number}" for number in (1, 2, 3)]
    folder = pull([model_file("m", b"one two three", *parts)], cache, retry=QUICK)
    assert (folder / "m").read_bytes() == b"one two three"


def test_a_second_pull_asks_nobody(server: FileServer, cache: Path) -> None:
    server.files = {"/a": b"first"}
    files = [model_file("a", b"first", f"{server.url}/a")]
    first = pull(files, cache, retry=QUICK)
    server.requests.clear()
    assert pull(files, cache, retry=QUICK) == first
    assert not server.requests


def test_a_cached_file_that_lost_bytes_is_fetched_again(server: FileServer, cache: Path) -> None:
    server.files = {"/a": b"first"}
    files = [model_file("a", b"first", f"{server.url}/a")]
    damaged = pull(files, cache, retry=QUICK) / "a"
    damaged.write_bytes(b"fir")
    assert (pull(files, cache, retry=QUICK) / "a").read_bytes() == b"first"


def test_a_connection_cut_midway_goes_on_from_where_it_was(server: FileServer, cache: Path) -> None:
    server.files = {"/a": CONTENT}
    server.cut_after = [300_000, 200_000]
    folder = pull([model_file("a", CONTENT, f"{server.url}/a")], cache, retry=QUICK)
    assert (folder / "a").read_bytes() == CONTENT
    assert server.asked("/a") == [None, "bytes=300000-", "bytes=500000-"]


def test_headway_starts_the_count_of_tries_anew(server: FileServer, cache: Path) -> None:
    server.files = {"/a": CONTENT}
    server.cut_after = [100_000] * 8
    pull([model_file("a", CONTENT, f"{server.url}/a")], cache, retry=QUICK)
    assert len(server.asked("/a")) == 9


def test_a_file_that_changed_meanwhile_is_taken_from_the_start(server: FileServer, cache: Path) -> None:
    old, new = CONTENT, CONTENT[::-1]
    server.files, server.cut_after = {"/a": old}, [300_000, 0, 0, 0]
    with pytest.raises(SourceUnreachableError):
        pull([model_file("a", new, f"{server.url}/a")], cache, retry=QUICK)
    server.files, server.cut_after = {"/a": new}, []
    assert (pull([model_file("a", new, f"{server.url}/a")], cache, retry=QUICK) / "a").read_bytes() == new


def test_without_a_validator_nothing_is_glued_together(server: FileServer, cache: Path) -> None:
    server.files, server.etags, server.cut_after = {"/a": CONTENT}, False, [300_000]
    folder = pull([model_file("a", CONTENT, f"{server.url}/a")], cache, retry=QUICK)
    assert (folder / "a").read_bytes() == CONTENT
    assert server.asked("/a") == [None, None]


def test_a_busy_server_is_asked_again(server: FileServer, cache: Path) -> None:
    server.files, server.statuses = {"/a": b"x"}, [503, 429]
    assert pull([model_file("a", b"x", f"{server.url}/a")], cache, retry=QUICK).is_dir()


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (404, SourceNotFoundError, "not found .HTTP 404."),
        (403, SourceRefusedError, "credentials"),
        (500, SourceUnreachableError, "gave up after 3 tries"),
        (302, SourceUnreachableError, "unexpected answer"),
    ],
)
def test_a_refusal_names_the_source_and_the_remedy(
    server: FileServer, cache: Path, status: int, kind: type[Exception], says: str
) -> None:
    server.statuses = [status] * 5
    with pytest.raises(kind, match=says) as refused:
        pull([model_file("a", b"x", f"{server.url}/a?token=hidden")], cache, retry=QUICK)
    assert f"{server.url}/a" in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_no_network_is_a_clear_error(cache: Path) -> None:
    with pytest.raises(SourceUnreachableError, match="Check the network"):
        pull([model_file("a", b"x", "http://127.0.0.1:9/a")], cache, retry=QUICK)


def test_a_wrong_hash_names_both_and_leaves_nothing(server: FileServer, cache: Path) -> None:
    server.files = {"/a": b"tampered", "/b": b"fine"}
    files = [model_file("b", b"fine", f"{server.url}/b"), model_file("model.bin", b"genuine", f"{server.url}/a")]
    with pytest.raises(WrongDigestError, match=r"model\.bin: sha256 is \w+, expected") as refused:
        pull(files, cache, retry=QUICK)
    assert refused.value.expected == files[1].sha256
    assert not list(cache.glob("models/*"))
    assert all(path.read_bytes() != b"tampered" for path in cache.rglob("*") if path.is_file())
    server.files["/a"] = b"genuine"
    assert (pull(files, cache, retry=QUICK) / "model.bin").read_bytes() == b"genuine"


def test_a_path_named_twice_is_refused(server: FileServer, cache: Path) -> None:
    with pytest.raises(SourceError, match="twice"):
        pull([model_file("a", b"x", "file:///x"), model_file("a", b"y", "file:///y")], cache)


def test_a_folder_that_cannot_be_written_names_the_setting(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match="STREAMINGSTACK_CACHE"):
        pull([model_file("a", b"x", f"{server.url}/a")], tmp_path / "file" / "cache", retry=QUICK)


PULL = """
import sys
from pathlib import Path
from model_store import pull
from stack_model.api import ModelFile
print(pull([ModelFile(path="a", parts=[sys.argv[1]], sha256=sys.argv[2])], Path(sys.argv[3])))
"""


def _pulling(url: str, digest: str, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", PULL, url, digest, str(cache)], stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_fetch_once_and_agree(server: FileServer, cache: Path) -> None:
    server.files, server.bytes_per_second = {"/a": CONTENT}, 2_000_000
    digest = model_file("a", CONTENT, "file:///x").sha256
    both = [_pulling(f"{server.url}/a", digest, cache) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]
    assert (Path(said[0]) / "a").read_bytes() == CONTENT
    assert len(server.asked("/a")) == 1


def test_a_killed_pull_leaves_no_model_and_is_continued(server: FileServer, cache: Path) -> None:
    server.files, server.bytes_per_second = {"/a": CONTENT}, 400_000
    file = model_file("a", CONTENT, f"{server.url}/a")
    process = _pulling(f"{server.url}/a", file.sha256, cache)
    deadline = time.monotonic() + 30
    while not any(part.stat().st_size for part in cache.rglob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(cache.glob("models/*"))
    server.bytes_per_second = None
    assert (pull([file], cache, retry=QUICK) / "a").read_bytes() == CONTENT
    assert (server.asked("/a")[-1] or "").startswith("bytes=")


class Told:
    """Keeps what a pull told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int | None]] = []
        self.bytes = 0
        self.ended: list[str] = []

    def expect(self, total: int) -> None: ...

    def begin(self, name: str, done: int, total: int | None) -> None:
        self.lines.append((name, done, total))

    def advance(self, name: str, count: int) -> None:
        self.bytes += count

    def end(self, name: str) -> None:
        self.ended.append(name)


def test_progress_tells_name_total_and_every_byte_once(server: FileServer, cache: Path) -> None:
    server.files, server.cut_after = {"/a": CONTENT}, [300_000]
    told = Told()
    pull([model_file("weights.bin", CONTENT, f"{server.url}/a")], cache, told, retry=QUICK)
    assert told.lines == [("weights.bin", 0, len(CONTENT)), ("weights.bin", 300_000, len(CONTENT))]
    assert told.bytes == len(CONTENT)
    assert told.ended == ["weights.bin"]


def test_a_local_folder_is_copied_and_followed_when_it_changes(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "model"
    (source / "sub").mkdir(parents=True)
    (source / "sub/a").write_bytes(b"one")
    model = Model(name="en", speech_models=["universal-streaming-m"], source=f"file://{source}")
    first = pull_model(model, cache)
    assert (first / "sub/a").read_bytes() == b"one"
    assert pull_model(model, cache) == first
    (source / "sub/a").write_bytes(b"other")
    second = pull_model(model, cache)
    assert second != first
    assert (second / "sub/a").read_bytes() == b"other"
    assert (first / "sub/a").read_bytes() == b"one"


@pytest.mark.parametrize(
    ("uri", "kind", "says"),
    [
        ("file:///nowhere/at/all", SourceNotFoundError, "no such folder"),
        ("https://host/model.bin", SourceError, "list it under files"),
        ("hf://owner/model@main/model.bin", SourceError, "name the whole model"),
        ("image://ref/x", SourceError, "mounted by Kubernetes"),
    ],
)
def test_a_source_that_is_no_folder_says_what_to_do(cache: Path, uri: str, kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        pull_source(uri, cache)


def test_the_cache_lists_whole_models_only(server: FileServer, cache: Path) -> None:
    server.files = {"/a": b"one", "/b": b"two"}
    whole = pull([model_file("a", b"one", f"{server.url}/a")], cache, name="whole")
    broken = pull([model_file("b", b"two", f"{server.url}/b")], cache, name="broken")
    (broken / "b").unlink()
    assert [(model.name, model.path, model.files) for model in Cache(cache).models()] == [("whole", whole, {"a": 3})]


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"STREAMINGSTACK_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/streamingstack"),
        ({"HOME": "/h"}, "/h/.cache/streamingstack"),
    ],
)
def test_where_the_cache_lies(environment: dict[str, str], folder: str) -> None:
    assert default_cache(environment) == Path(folder)

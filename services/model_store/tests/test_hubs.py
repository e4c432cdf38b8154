"""hf:// and s3:// against local servers of the same API."""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from model_store import (
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnreachableError,
    WrongDigestError,
    pull,
    pull_source,
)
from moto.server import ThreadedMotoServer

from .conftest import QUICK, FileServer, model_file, sha256

COMMIT = "c" * 40
WEIGHTS = os.urandom(300_000)


@pytest.fixture
def hub(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """A model `owner/model` whose `main` is at COMMIT."""
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    server.files = {
        f"/owner/model/resolve/{COMMIT}/config.json": b"{}",
        f"/owner/model/resolve/{COMMIT}/sub/model.bin": WEIGHTS,
        "/owner/model/resolve/main/config.json": b"{}",
    }
    _list(server, sha256(WEIGHTS))
    return server


def _list(server: FileServer, digest: str, extra: str = ".gitattributes") -> None:
    siblings = [
        {"rfilename": extra, "size": 1},
        {"rfilename": "config.json", "size": 2, "blobId": "0"},
        {
            "rfilename": "sub/model.bin",
            "size": len(WEIGHTS),
            "lfs": {"sha256": digest, "size": len(WEIGHTS), "pointerSize": 134},
        },
    ]
    info = json.dumps({"id": "owner/model", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
    server.json["/api/models/owner/model/revision/main"] = lambda: info


def test_a_model_of_a_hub_is_pulled_whole_at_one_commit(hub: FileServer, cache: Path) -> None:
    folder = pull_source("hf://owner/model@main", cache, retry=QUICK)
    assert (folder / "sub/model.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "sub"]
    sent = [headers.get("authorization") for headers in _lowered(hub)]
    assert sent == ["Bearer hf_secret"] * 3


def _lowered(hub: FileServer) -> list[dict[str, str]]:
    return [{name.lower(): value for name, value in headers.items()} for headers in hub.headers_seen]


def test_a_cut_connection_to_a_hub_is_continued(hub: FileServer, cache: Path) -> None:
    hub.files[f"/owner/model/resolve/{COMMIT}/config.json"] = b"{}"
    hub.cut_after = [2, 100_000]
    pull_source("hf://owner/model@main", cache, retry=QUICK)
    assert hub.asked(f"/owner/model/resolve/{COMMIT}/sub/model.bin") == [None, "bytes=100000-"]


def test_one_file_of_a_hub_can_be_named_with_its_digest(hub: FileServer, cache: Path) -> None:
    folder = pull([model_file("c.json", b"{}", "hf://owner/model@main/config.json")], cache, retry=QUICK)
    assert (folder / "c.json").read_bytes() == b"{}"


def test_a_hub_file_that_is_not_what_the_hub_promised_is_refused(hub: FileServer, cache: Path) -> None:
    _list(hub, "0" * 64)
    with pytest.raises(WrongDigestError, match=r"sub/model\.bin"):
        pull_source("hf://owner/model@main", cache, retry=QUICK)


def test_an_unknown_model_or_a_refusal_is_clear(hub: FileServer, cache: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no such model or revision"):
        pull_source("hf://owner/other@main", cache, retry=QUICK)
    hub.statuses = [403]
    with pytest.raises(SourceRefusedError, match="HF_TOKEN"):
        pull_source("hf://owner/model@main", cache, retry=QUICK)


def test_a_hub_that_is_away_is_served_from_the_last_pull(
    hub: FileServer, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pull_source("hf://owner/model@main", cache, retry=QUICK)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert pull_source("hf://owner/model@main", cache, retry=QUICK) == folder
    with pytest.raises(SourceUnreachableError, match="HF_ENDPOINT"):
        pull_source("hf://owner/model@main", tmp_path / "empty", retry=QUICK)


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    yield f"http://{':'.join(map(str, moto.get_host_and_port()))}"
    moto.stop()


@pytest.fixture
def bucket(store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ENDPOINT_URL", store)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="models")
    client.put_object(Bucket="models", Key="base/config.json", Body=b"{}")
    client.put_object(Bucket="models", Key="base/sub/model.bin", Body=WEIGHTS)
    client.put_object(Bucket="models", Key="base-other/model.bin", Body=b"not below the prefix")
    return "models"


@pytest.mark.parametrize("uri", ["s3://models/base", "s3://models/base/"])
def test_everything_below_a_prefix_is_a_model(bucket: str, cache: Path, uri: str) -> None:
    folder = pull_source(uri, cache, retry=QUICK)
    assert (folder / "sub/model.bin").read_bytes() == WEIGHTS
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "sub"]
    assert pull_source(uri, cache, retry=QUICK) == folder


def test_a_changed_object_makes_another_model(bucket: str, cache: Path) -> None:
    first = pull_source("s3://models/base", cache, retry=QUICK)
    boto3.client("s3", region_name="us-east-1").put_object(Bucket="models", Key="base/config.json", Body=b"{1}")
    assert pull_source("s3://models/base", cache, retry=QUICK) != first


def test_an_object_is_continued_where_the_last_pull_stopped(bucket: str, cache: Path) -> None:
    from model_store.download import download
    from model_store.folders import s3_client
    from model_store.progress import Silent
    from model_store.remote import S3Remote

    remote, target = S3Remote(s3_client(), bucket, "base/sub/model.bin"), cache / "m"
    cache.mkdir()
    with remote.open(0, None) as opened:
        (cache / "m.validator").write_text(opened.validator or "")
    (cache / "m.part").write_bytes(WEIGHTS[:100_000])
    seen = Seen()
    download(remote, target, seen, QUICK)
    assert target.read_bytes() == WEIGHTS
    assert seen.starts == [100_000]
    (cache / "m2.part").write_bytes(b"of another object")
    (cache / "m2.validator").write_text('"stale"')
    download(remote, cache / "m2", Silent(), QUICK)
    assert (cache / "m2").read_bytes() == WEIGHTS


class Seen:
    """Where downloads began."""

    def __init__(self) -> None:
        self.starts: list[int] = []

    def expect(self, total: int) -> None: ...

    def begin(self, name: str, done: int, total: int | None) -> None:
        self.starts.append(done)

    def advance(self, name: str, count: int) -> None: ...

    def end(self, name: str) -> None: ...


def test_missing_objects_buckets_and_credentials_are_clear(
    bucket: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceNotFoundError, match="s3://models/none/"):
        pull_source("s3://models/none", cache, retry=QUICK)
    with pytest.raises(SourceNotFoundError, match="s3://models/base/none"):
        pull([model_file("a", b"", "s3://models/base/none")], cache, retry=QUICK)
    with pytest.raises(SourceNotFoundError, match="s3://nobucket/"):
        pull_source("s3://nobucket/x", cache, retry=QUICK)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceUnreachableError, match="AWS_ENDPOINT_URL"):
        pull_source("s3://models/base", cache, retry=QUICK)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(cache))
    boto3.DEFAULT_SESSION = None
    with pytest.raises(SourceRefusedError, match="AWS_ACCESS_KEY_ID"):
        pull_source("s3://models/base", cache, retry=QUICK)
    assert threading.active_count() < 50

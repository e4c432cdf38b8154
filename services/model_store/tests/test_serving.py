"""A running store: what it fetches, serves, reports and forgets."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from model_store.serving.service import RunningStore, run_store
from model_store.serving.settings import StoreSettings
from stack_model.api import ModelFile
from stack_model.stored_models import StoredModel, dump_stored_models
from streamingstack_bench.mounted_file import MountedFile

from .conftest import FileServer, model_file, sha256

CONTENT = os.urandom(1 << 20)


@dataclass
class Store:
    running: RunningStore
    http: httpx2.AsyncClient
    models: MountedFile
    folder: Path

    async def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.http.get(f"/models/{name}")).json()
        return found

    async def until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while not holds(state := await self.state(name)):
                await asyncio.sleep(0.02)
        return state

    async def ready(self, name: str = "m") -> dict[str, Any]:
        return await self.until(name, lambda state: state.get("state") == "Ready")

    async def failed(self, name: str = "m") -> dict[str, Any]:
        return await self.until(name, lambda state: state.get("state") == "Failed")

    def want(self, *models: StoredModel) -> None:
        self.models.replace(dump_stored_models(models))

    async def metrics(self) -> str:
        return (await self.http.get(f"http://127.0.0.1:{self.running.metrics_port}/metrics")).text

    @property
    def digests(self) -> set[str]:
        return {path.name for path in (self.folder / "models").glob("*") if path.is_dir()}


@contextlib.asynccontextmanager
async def a_store(tmp_path: Path, *models: StoredModel, **settings: Any) -> AsyncIterator[Store]:
    mounted = MountedFile(tmp_path / "mounted", "models.yaml", dump_stored_models(models))
    quick = {"poll_seconds": 0.05, "first_retry_seconds": 0.05, "longest_retry_seconds": 0.1}
    fixed = {"host": "127.0.0.1", "server_port": 0, "metrics_port": 0, "store_dir": tmp_path / "store", **quick}
    configured = StoreSettings(**{**fixed, "models_file": mounted.path, **settings})
    async with (
        run_store(configured) as running,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", trust_env=False) as http,
    ):
        yield Store(running, http, mounted, tmp_path / "store")


def of_files(*files: ModelFile, name: str = "m") -> StoredModel:
    return StoredModel(name=name, files=list(files))


async def test_a_listed_model_is_fetched_and_served_by_digest(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": b"first", "/b": CONTENT}
    model = of_files(model_file("sub/a.bin", b"first", f"{server.url}/a"), model_file("b", CONTENT, f"{server.url}/b"))
    async with a_store(tmp_path, model) as store:
        state = await store.ready()
        assert state["digest"] == model.identity
        assert state["bytesDone"] == state["bytesTotal"] == len(CONTENT) + 5
        manifest = (await store.http.get(f"/digests/{state['digest']}")).json()
        assert sorted(manifest["files"], key=lambda file: str(file["path"])) == [
            {"path": "b", "bytes": len(CONTENT), "sha256": sha256(CONTENT)},
            {"path": "sub/a.bin", "bytes": 5, "sha256": sha256(b"first")},
        ]
        assert (await store.http.get(f"/digests/{state['digest']}/sub/a.bin")).content == b"first"
        told = await store.metrics()
        assert 'model_store_model_state{model="m",state="Ready"} 1.0' in told
        assert f"model_store_fetched_bytes_total {float(len(CONTENT) + 5)}" in told.replace("1.048581e+06", "1048581.0")


async def test_a_range_is_served_only_of_the_very_same_file(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": CONTENT}
    async with a_store(tmp_path, of_files(model_file("a", CONTENT, f"{server.url}/a"))) as store:
        path = f"/digests/{(await store.ready())['digest']}/a"
        part = await store.http.get(path, headers={"Range": "bytes=1000-", "If-Range": f'"{sha256(CONTENT)}"'})
        assert (part.status_code, part.content) == (206, CONTENT[1000:])
        other = await store.http.get(path, headers={"Range": "bytes=1000-", "If-Range": f'"{sha256(b"other")}"'})
        assert (other.status_code, other.content) == (200, CONTENT)


@pytest.mark.parametrize(
    "path",
    [
        "/digests/../models",
        "/digests/..%2f..%2fetc",
        "/digests/{digest}/../{digest}.json",
        "/digests/{digest}/%2e%2e/x",
    ],
)
async def test_nothing_outside_a_model_is_ever_served(server: FileServer, tmp_path: Path, path: str) -> None:
    server.files = {"/a": b"first"}
    async with a_store(tmp_path, of_files(model_file("a", b"first", f"{server.url}/a"))) as store:
        digest = (await store.ready())["digest"]
        assert b" 200 " in await _raw_status(store, f"/digests/{digest}/a")
        assert b" 404 " in await _raw_status(store, path.format(digest=digest))


async def _raw_status(store: Store, path: str) -> bytes:
    """The first line of the answer to exactly this path; a client would have tidied it up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", store.running.port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n")[0]


async def test_writing_is_refused(tmp_path: Path) -> None:
    async with a_store(tmp_path) as store:
        for method in ("POST", "PUT", "DELETE"):
            assert (await store.http.request(method, "/models")).status_code == 405


async def test_ready_means_that_pods_may_ask_not_that_models_are_there(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [500] * 10_000
    async with a_store(tmp_path, of_files(model_file("a", b"x", f"{server.url}/a"))) as store:
        async with asyncio.timeout(10):
            while (await store.http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.02)
        assert (await store.http.get("/health")).status_code == 200
        assert (await store.state("m"))["state"] != "Ready"


async def test_an_unreachable_source_is_a_state_with_the_remedy_and_heals(server: FileServer, tmp_path: Path) -> None:
    async with a_store(tmp_path, of_files(model_file("a", b"first", f"{server.url}/a"))) as store:
        state = await store.failed()
        assert "not found (HTTP 404); correct the source" in state["error"]
        assert state["retryAt"] is not None
        server.files = {"/a": b"first"}
        await store.ready()
        assert 'model_store_fetch_failures_total{model="m",reason="SourceNotFound"}' in await store.metrics()


async def test_a_wrong_hash_is_a_state_and_is_never_served(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": b"tampered"}
    async with a_store(tmp_path, of_files(model_file("a", b"first", f"{server.url}/a"))) as store:
        state = await store.failed()
        assert "expected" in state["error"]
        assert "correct the sha256 or the source" in state["error"]
        assert (await store.http.get(f"/digests/{state['identity']}/a")).status_code == 404
        server.files = {"/a": b"first"}
        await store.ready()


async def test_a_models_failure_does_not_hold_up_the_others(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/b": b"second"}
    broken = of_files(model_file("a", b"first", f"{server.url}/a"), name="broken")
    sound = of_files(model_file("b", b"second", f"{server.url}/b"), name="sound")
    async with a_store(tmp_path, broken, sound, fetches_at_once=1) as store:
        await store.ready("sound")
        await store.failed("broken")


async def test_the_list_is_followed_through_swapped_links_and_old_digests_go(
    server: FileServer, tmp_path: Path
) -> None:
    server.files = {"/a": b"first", "/b": b"second"}
    one, two = (
        model_file("f", content, f"{server.url}/{path}") for path, content in (("a", b"first"), ("b", b"second"))
    )
    async with a_store(tmp_path, of_files(one)) as store:
        old = (await store.ready())["digest"]
        store.want(of_files(two))
        new = (await store.until("m", lambda state: state.get("digest") not in (None, old)))["digest"]
        assert store.digests == {new}
        store.want(of_files(one, name="other"))
        await store.ready("other")
        assert store.digests == {old}
        assert (await store.state("m"))["error"].startswith("no such model")


async def test_an_unchanged_model_is_not_fetched_again(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": b"first", "/b": b"second"}
    one, two = (
        model_file("f", content, f"{server.url}/{path}") for path, content in (("a", b"first"), ("b", b"second"))
    )
    async with a_store(tmp_path, of_files(one)) as store:
        await store.ready()
        store.want(of_files(one), of_files(two, name="n"))
        await store.ready("n")
    assert server.asked("/a") == [None]


async def test_a_list_that_cannot_be_used_changes_nothing_and_is_told(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": b"first"}
    async with a_store(tmp_path, of_files(model_file("a", b"first", f"{server.url}/a"))) as store:
        await store.ready()
        store.models.replace("models: [{name: m}]")
        async with asyncio.timeout(10):
            while not (shown := (await store.http.get("/models")).json())["listError"]:
                await asyncio.sleep(0.02)
        assert "set exactly one of source and files" in shown["listError"]
        assert shown["models"][0]["state"] == "Ready"


async def test_a_restart_fetches_nothing_that_is_whole(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": CONTENT}
    model = of_files(model_file("a", CONTENT, f"{server.url}/a"))
    for _ in range(2):
        async with a_store(tmp_path, model) as store:
            await store.ready()
    assert server.asked("/a") == [None]


async def test_a_file_that_rotted_on_the_disk_is_found_at_the_next_start(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": CONTENT}
    model = of_files(model_file("a", CONTENT, f"{server.url}/a"))
    async with a_store(tmp_path, model) as store:
        digest = (await store.ready())["digest"]
    rotten = tmp_path / "store" / "models" / digest / "a"
    rotten.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    async with a_store(tmp_path, model) as store:
        await store.ready()
        assert (await store.http.get(f"/digests/{digest}/a")).content == CONTENT


async def test_a_fetch_goes_on_after_the_store_was_stopped_in_the_middle(server: FileServer, tmp_path: Path) -> None:
    server.files, server.bytes_per_second = {"/a": CONTENT}, 2_000_000
    model = of_files(model_file("a", CONTENT, f"{server.url}/a"))
    async with a_store(tmp_path, model) as store:
        await store.until("m", lambda state: state.get("bytesDone", 0) > 200_000)
    server.bytes_per_second = None
    async with a_store(tmp_path, model) as store:
        await store.ready()
    ranges = server.asked("/a")
    assert len(ranges) == 2
    assert ranges[1] is not None


async def test_a_model_taken_out_while_it_comes_is_given_up_and_leaves_nothing(
    server: FileServer, tmp_path: Path
) -> None:
    server.files, server.bytes_per_second = {"/a": CONTENT}, 200_000
    async with a_store(tmp_path, of_files(model_file("a", CONTENT, f"{server.url}/a"))) as store:
        await store.until("m", lambda state: state.get("bytesDone", 0) > 20_000)
        store.want()
        async with asyncio.timeout(10):
            while any((store.folder / "partial").glob("*/*")):
                await asyncio.sleep(0.05)
        assert not (await store.http.get("/models")).json()["models"]


async def test_files_of_the_stores_own_disk_are_refused_unless_a_folder_is_allowed(tmp_path: Path) -> None:
    for folder in ("allowed", "secret"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a").write_bytes(b"first")
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "secret")
    good = StoredModel(name="good", source=f"file://{tmp_path}/allowed/a")
    bad = StoredModel(name="bad", source=f"file://{tmp_path}/secret")
    sly = StoredModel(name="sly", source=f"file://{tmp_path}/allowed/link/a")
    async with a_store(tmp_path, good, bad, sly, file_sources=tmp_path / "allowed") as store:
        await store.ready("good")
        for name in ("bad", "sly"):
            assert "not served by a model store" in (await store.failed(name))["error"]


async def test_what_kubernetes_mounts_is_told_apart(tmp_path: Path) -> None:
    async with a_store(tmp_path, StoredModel(name="m", source="pvc://claim/path")) as store:
        assert "mounted by Kubernetes" in (await store.failed())["error"]


async def test_no_credential_of_a_source_is_ever_shown(
    server: FileServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = of_files(model_file("a", b"x", f"{server.url}/a?token=sesame"))
    async with a_store(tmp_path, model) as store:
        await store.failed()
        shown = (await store.http.get("/models")).text + await store.metrics()
    out, err = capfd.readouterr()
    assert "sesame" not in shown + out + err


async def test_a_disk_without_room_is_a_state_that_names_the_field(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files = {"/a": CONTENT}
    model = of_files(model_file("a", CONTENT, f"{server.url}/a"))

    class Usage:
        free, total = 1000, 2000

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    async with a_store(tmp_path, model) as store:
        state = await store.failed()
        assert f"is full: {len(CONTENT)} bytes needed, 1000 free. Raise spec.modelStore.storage.size" in state["error"]
        monkeypatch.undo()
        await store.ready()

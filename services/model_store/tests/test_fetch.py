"""What an init container does: wait, copy, verify, publish; as the process that is deployed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from model_store.cache import Cache
from stack_model.stored_models import StoredModel

from .conftest import FileServer, model_file
from .test_full_disk import private_mounts
from .test_serving import Store, a_store, of_files

CONTENT = os.urandom(8 << 20)
OTHER = os.urandom(1 << 20)


class Pod:
    """A running `python -m model_store fetch`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[dict[str, object]] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))

    def said(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.lines if line["event"] == event]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                assert self.process.returncode is None, self.lines
                await asyncio.sleep(0.02)

    async def ended(self) -> int:
        async with asyncio.timeout(60):
            status = await self.process.wait()
        await self.reading
        return status


@contextlib.asynccontextmanager
async def a_pod(port: int, target: Path, *more: str, name: str = "m") -> AsyncIterator[Pod]:
    # A proxy that nobody serves: the store must be asked directly.
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "NO_PROXY": "", "no_proxy": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "model_store", "fetch",
        "--from", f"http://127.0.0.1:{port}", "--model", name, "--to", str(target), *more,
        stderr=asyncio.subprocess.PIPE, env={**os.environ, **proxies},
    )  # fmt: skip
    pod = Pod(process)
    try:
        yield pod
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await pod.reading


async def copied(store: Store, target: Path, *more: str) -> Pod:
    async with a_pod(store.running.port, target, *more) as pod:
        assert await pod.ended() == 0, pod.lines
    return pod


async def test_a_model_is_copied_whole_under_its_name(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": b"first", "/b": CONTENT}
    model = of_files(model_file("sub/a", b"first", f"{server.url}/a"), model_file("b", CONTENT, f"{server.url}/b"))
    async with a_store(tmp_path, model) as store:
        await copied(store, tmp_path / "pod", "--expect", model.identity)
    folder = tmp_path / "pod" / "m"
    assert (folder / "sub/a").read_bytes() == b"first"
    assert (folder / "b").read_bytes() == CONTENT
    assert os.readlink(folder) == f"digests/{model.identity}"
    assert sorted(path.name for path in (tmp_path / "pod").iterdir()) == ["digests", "m"]


async def test_a_pod_waits_for_a_store_that_is_not_there_yet_and_for_its_fetch(
    server: FileServer, tmp_path: Path, unused_tcp_port: int
) -> None:
    server.files, server.bytes_per_second = {"/a": OTHER}, 400_000
    async with a_pod(unused_tcp_port, tmp_path / "pod") as pod:
        await pod.until(lambda: pod.said("waiting for the model store"))
        model = of_files(model_file("a", OTHER, f"{server.url}/a"))
        async with a_store(tmp_path, model, server_port=unused_tcp_port):
            await pod.until(lambda: pod.said("the model store is fetching"))
            server.bytes_per_second = None
            assert await pod.ended() == 0
    assert (tmp_path / "pod/m/a").read_bytes() == OTHER


async def test_a_pod_never_takes_an_older_model_than_it_expects(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": b"first", "/b": b"second"}
    old = of_files(model_file("f", b"first", f"{server.url}/a"))
    new = of_files(model_file("f", b"second", f"{server.url}/b"))
    async with a_store(tmp_path, old) as store:
        await store.ready()
        async with a_pod(store.running.port, tmp_path / "pod", "--expect", new.identity) as pod:
            await pod.until(lambda: pod.said("the model store still has an older list"))
            store.want(new)
            assert await pod.ended() == 0
    assert (tmp_path / "pod/m/f").read_bytes() == b"second"


async def test_what_the_store_cannot_fetch_is_told_with_its_remedy(server: FileServer, tmp_path: Path) -> None:
    model = of_files(model_file("a", b"first", f"{server.url}/a"))
    async with a_store(tmp_path, model) as store, a_pod(store.running.port, tmp_path / "pod") as pod:
        await pod.until(lambda: pod.said("the model store cannot fetch the model"))
        assert "correct the source" in str(pod.said("the model store cannot fetch the model")[0]["reason"])
        assert not (tmp_path / "pod/m").exists()
        server.files = {"/a": b"first"}
        assert await pod.ended() == 0


@contextlib.asynccontextmanager
async def a_line_that_stalls(port: int, after: int) -> AsyncIterator[int]:
    """A TCP relay to `port`, which lets `after` bytes of an answer through and then nothing."""

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)

        async def upwards() -> None:
            while data := await reader.read(65536):
                back.write(data)

        rising, left = asyncio.create_task(upwards()), after
        while left and (data := await there.read(left)):
            writer.write(data)
            left -= len(data)
        await rising
        writer.close()
        back.close()

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
async def test_a_pod_ended_in_the_middle_leaves_no_half_model_and_the_next_finishes(
    server: FileServer, tmp_path: Path, ending: signal.Signals
) -> None:
    server.files = {"/a": CONTENT}
    target = tmp_path / "pod"
    async with a_store(tmp_path, of_files(model_file("a", CONTENT, f"{server.url}/a"))) as store:
        part = target / "partial" / (await store.ready())["digest"] / "a.part"
        async with a_line_that_stalls(store.running.port, 1 << 20) as port, a_pod(port, target) as pod:
            await pod.until(lambda: part.exists() and part.stat().st_size > 1 << 19)
            pod.process.send_signal(ending)
            assert await pod.ended() in (128 + ending, -ending)
        assert not (target / "m").exists()
        await copied(store, target)
    assert (target / "m/a").read_bytes() == CONTENT


async def test_a_half_copy_is_continued_not_begun_anew(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": CONTENT}
    target = tmp_path / "pod"
    async with a_store(tmp_path, of_files(model_file("a", CONTENT, f"{server.url}/a"))) as store:
        digest = (await store.ready())["digest"]
        files = Cache(store.folder).files(digest)
        assert files is not None
        part = target / "partial" / digest / "a.part"
        part.parent.mkdir(parents=True)
        # Not the real beginning: were it fetched anew it would be right at once, continued it is found out.
        part.write_bytes(bytes(4 << 20))
        (part.parent / "a.validator").write_text(f'"{files["a"]}"')
        pod = await copied(store, target)
    assert "sha256" in str(pod.said("copying again")[0]["reason"])
    assert (target / "m/a").read_bytes() == CONTENT


async def test_a_restarted_pod_with_the_model_copies_nothing(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": CONTENT}
    async with a_store(tmp_path, of_files(model_file("a", CONTENT, f"{server.url}/a"))) as store:
        await copied(store, tmp_path / "pod")
        served = "model_store_files_served_total 1.0"
        assert served in await store.metrics()
        await copied(store, tmp_path / "pod")
        assert served in await store.metrics()


async def test_another_digest_replaces_the_one_in_the_pod(server: FileServer, tmp_path: Path) -> None:
    server.files = {"/a": b"first", "/b": b"second"}
    async with a_store(tmp_path, of_files(model_file("f", b"first", f"{server.url}/a"))) as store:
        await store.ready()
        await copied(store, tmp_path / "pod")
        new = of_files(model_file("f", b"second", f"{server.url}/b"))
        store.want(new)
        await copied(store, tmp_path / "pod", "--expect", new.identity)
    assert (tmp_path / "pod/m/f").read_bytes() == b"second"
    assert [path.name for path in (tmp_path / "pod/digests").iterdir()] == [new.identity]


ON_A_TINY_DISK = """
import subprocess, sys
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", sys.argv[1]], check=True)
sys.exit(subprocess.run([sys.executable, "-m", "model_store", "fetch", *sys.argv[2:], "--to", sys.argv[1]]).returncode)
"""


async def test_a_pod_without_room_says_so_and_ends(server: FileServer, tmp_path: Path) -> None:
    server.files, target = {"/a": CONTENT}, tmp_path / "tiny"
    target.mkdir()
    async with a_store(tmp_path, of_files(model_file("a", CONTENT, f"{server.url}/a"))) as store:
        await store.ready()
        arguments = [str(target), "--from", f"http://127.0.0.1:{store.running.port}", "--model", "m"]
        process = await asyncio.create_subprocess_exec(
            *private_mounts(), sys.executable, "-c", ON_A_TINY_DISK, *arguments, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
    assert process.returncode == 1
    assert f"is full: {len(CONTENT)} bytes needed" in said.decode()
    assert "ephemeral storage" in said.decode()


async def test_the_wrong_url_name_or_identity_is_refused_before_anything_is_asked() -> None:
    for arguments in (
        ["--from", "store:8080", "--model", "m", "--to", "/x"],
        ["--from", "http://s", "--model", "../m", "--to", "/x"],
        ["--from", "http://s", "--model", "m", "--expect", "latest", "--to", "/x"],
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "model_store", "fetch", *arguments, stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        assert process.returncode == 2
        assert b"error: argument" in said


def test_a_whole_folder_is_known_by_its_source() -> None:
    assert StoredModel(name="m", source="hf://o/m@v1").identity == StoredModel(name="n", source="hf://o/m@v1").identity

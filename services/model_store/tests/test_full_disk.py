"""A disk without room: said before, said when it happens, and nothing half left."""

import subprocess
import sys
from pathlib import Path

import pytest
from model_store.disk import minding_room, require_room
from model_store.errors import DiskFullError

from .conftest import FileServer, model_file

CONTENT = bytes(3 << 20)

ON_A_TINY_DISK = """
import os, subprocess, sys
from pathlib import Path
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", sys.argv[3]], check=True)
if sys.argv[4] == "unannounced":
    import model_store.disk, model_store.download
    # As if somebody else took the room between the question and the writing.
    model_store.download.require_room = lambda folder, needed: None
from model_store import pull, DiskFullError
from stack_model.api import ModelFile
cache = Path(sys.argv[3]) / "cache"
try:
    pull([ModelFile(path="model.bin", parts=[sys.argv[1]], sha256=sys.argv[2])], cache)
except DiskFullError as full:
    left = [path.stat().st_size for path in cache.rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    print(full)
    print("left", sum(left) < 1000, "needed", full.needed)
"""


def private_mounts() -> list[str]:
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.fail("this test mounts a 2 MiB disk in a namespace of its own: run it as root or allow user namespaces")


@pytest.mark.parametrize("how", ["announced", "unannounced"])
def test_a_tiny_disk_ends_a_pull_with_folder_and_bytes_and_leaves_no_partial(
    server: FileServer, tmp_path: Path, how: str
) -> None:
    server.files = {"/a": CONTENT}
    file = model_file("model.bin", CONTENT, f"{server.url}/a")
    arguments = [file.parts[0], file.sha256, str(tmp_path), how]
    command = [*private_mounts(), sys.executable, "-c", ON_A_TINY_DISK, *arguments]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"{tmp_path}/cache/partial/" in said
    assert "is full: " in said
    assert "STREAMINGSTACK_CACHE" in said
    assert f"left True needed {len(CONTENT)}" in said


def test_writing_to_a_full_device_removes_what_was_written(tmp_path: Path) -> None:
    target = tmp_path / "part"
    target.symlink_to("/dev/full")
    with pytest.raises(DiskFullError, match="is full"), minding_room(target, 7), target.open("wb") as out:
        out.write(b"x")
    assert not target.is_symlink()


def test_room_is_asked_for_before_writing(tmp_path: Path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(DiskFullError, match=f"{1 << 60} bytes needed"):
        require_room(tmp_path, 1 << 60)

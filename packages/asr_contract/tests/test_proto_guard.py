"""The schema is linted, never breaks what was released, and is what the stubs were made from."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from streamingstack.asr.v1 import recognizer_pb2 as pb

REPOSITORY = Path(__file__).parents[3]
RELEASED = "protos/released/v1.binpb"
SCHEMA = Path("protos/streamingstack/asr/v1/recognizer.proto")


@pytest.fixture
def buf(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs buf in a folder, without network and without anything of the user's."""
    # Beside the interpreter whose environment has the wheel; an unactivated environment is not on the PATH.
    program = Path(sys.executable).parent / "buf"
    assert program.exists(), "buf is missing; run: uv sync --all-packages --all-extras"
    nowhere = "http://127.0.0.1:9"
    environment = {"HOME": str(tmp_path), "BUF_CACHE_DIR": str(tmp_path / "cache"), "HTTPS_PROXY": nowhere}

    def run(*arguments: str, folder: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout of the schema alone."""
    folder = tmp_path / "checkout"
    shutil.copytree(REPOSITORY / "protos", folder / "protos")
    shutil.copy(REPOSITORY / "buf.yaml", folder)
    return folder


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / SCHEMA
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is no longer there once"
    path.write_text(text.replace(old, new))


def test_the_schema_is_clean(buf: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = buf("lint")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_schema_breaks_nothing_released(buf: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = buf("breaking", "--against", RELEASED)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


BREAKS = {
    "a field removed": ("  float eot_score = 7;\n", "", 'Previously present field "7"'),
    "a field renumbered": ("uint64 checkpoint_id = 1;", "uint64 checkpoint_id = 5;", 'Previously present field "1"'),
    "a field of another type": ("uint64 checkpoint_id = 1;", "string checkpoint_id = 1;", "changed type"),
    "a field renamed": ("uint64 checkpoint_id = 1;", "uint64 checkpoint = 1;", "changed name"),
    "a field that became a list": ("string prompt = 8;", "repeated string prompt = 8;", "changed cardinality"),
    "a value removed": ("  TRAFFIC_CLASS_BULK = 2;\n", "", 'Previously present enum value "2"'),
    "the stream made one way": (
        "rpc Recognize(stream RecognizeRequest)",
        "rpc Recognize(RecognizeRequest)",
        "streaming",
    ),
}


@pytest.mark.parametrize(("old", "new", "says"), BREAKS.values(), ids=BREAKS.keys())
def test_a_breaking_change_is_refused(
    buf: Callable[..., subprocess.CompletedProcess[str]], copy: Path, old: str, new: str, says: str
) -> None:
    edit(copy, old, new)
    done = buf("breaking", "--against", RELEASED, folder=copy)
    assert done.returncode != 0
    assert says in done.stdout, done.stdout + done.stderr


def test_a_new_field_breaks_nothing(buf: Callable[..., subprocess.CompletedProcess[str]], copy: Path) -> None:
    edit(copy, "message Ping {}", "message Ping {\n  // When it was sent.\n  uint64 sent_at_sample = 1;\n}")
    assert buf("lint", folder=copy).returncode == 0
    assert buf("breaking", "--against", RELEASED, folder=copy).returncode == 0


SLOPPY = {
    "a field without a comment": ("message Ping {}", "message Ping {\n  uint64 at = 1;\n}", "comment"),
    "a name that is not snake_case": ("uint32 deadline_ms = 1;", "uint32 deadlineMs = 1;", "lower_snake_case"),
    "an enum whose zero is no UNSPECIFIED": ("  DECISION_UNSPECIFIED = 0;", "  DECISION_NONE = 0;", "_UNSPECIFIED"),
}


@pytest.mark.parametrize(("old", "new", "says"), SLOPPY.values(), ids=SLOPPY.keys())
def test_sloppiness_is_refused(
    buf: Callable[..., subprocess.CompletedProcess[str]], copy: Path, old: str, new: str, says: str
) -> None:
    edit(copy, old, new)
    done = buf("lint", folder=copy)
    assert done.returncode != 0
    assert says in done.stdout, done.stdout + done.stderr


def test_the_stubs_were_made_from_the_schema(
    buf: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    image = tmp_path / "now.binpb"
    assert buf("build", "--exclude-source-info", "-o", str(image)).returncode == 0
    files = FileDescriptorSet.FromString(image.read_bytes()).file
    (schema,) = (file for file in files if file.package == "streamingstack.asr.v1")
    generated = FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(generated)
    assert names(schema) == names(generated), (
        "stale stubs; run: uv sync --all-packages --all-extras --reinstall-package asr-contract"
    )


def names(file: FileDescriptorProto) -> dict[str, list[tuple[str, int, int]]]:
    """Messages with their fields, and enums with their values."""
    messages = {m.name: [(f.name, f.number, int(f.type)) for f in m.field] for m in file.message_type}
    enums = {e.name: [(v.name, v.number, 0) for v in e.value] for e in file.enum_type}
    return messages | enums

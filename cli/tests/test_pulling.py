"""Models that cannot be had, at the command line: one line that says what to do, status 1, nothing half kept."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from stack_model.api import ModelFile
from streamingstack_cli.main import app
from typer.testing import CliRunner

from .conftest import EXAMPLES

WEIGHTS = b"weights" * 1000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one; a small file stands for the hearing models, which would be downloaded into it first."""
    folder, hearing = tmp_path / "cache", tmp_path / "hearing.onnx"
    hearing.write_bytes(b"hearing")
    file = ModelFile(path="hearing.onnx", parts=[hearing.as_uri()], sha256=hashlib.sha256(b"hearing").hexdigest())
    monkeypatch.setattr("streamingstack_cli.model_progress.HEARING_FILES", [file])
    monkeypatch.setenv("STREAMINGSTACK_CACHE", str(folder))
    return folder


def stack_with(tmp_path: Path, sha256: str) -> Path:
    """A stack whose model is one file here, said to have `sha256`."""
    (tmp_path / "model.bin").write_bytes(WEIGHTS)
    document = yaml.safe_load((EXAMPLES / "minimal.yaml").read_text())
    (model,) = document["spec"]["models"]
    del model["source"]
    model["files"] = [{"path": "model.bin", "parts": [(tmp_path / "model.bin").as_uri()], "sha256": sha256}]
    stack = tmp_path / "stack.yaml"
    stack.write_text(yaml.safe_dump(document))
    return stack


def test_a_model_that_is_not_what_the_stack_promises_is_one_line_with_both_sums_and_is_not_kept(
    cache: Path, tmp_path: Path
) -> None:
    right, wrong = hashlib.sha256(WEIGHTS).hexdigest(), "a" * 64
    refused = CliRunner().invoke(app, ["models", "pull", str(stack_with(tmp_path, wrong))])
    assert (refused.exit_code, refused.stdout) == (1, "")
    *_, line = refused.stderr.splitlines()
    assert line.startswith(f"streamingstack: cannot get the models: model.bin: sha256 is {right}, expected {wrong}; ")
    assert "correct the sha256 or the source" in line
    assert "Traceback" not in refused.output
    assert not list(cache.rglob("model.bin*"))
    pulled = CliRunner().invoke(app, ["models", "pull", str(stack_with(tmp_path, right))])
    assert pulled.exit_code == 0, pulled.stderr
    (kept,) = cache.rglob("model.bin")
    assert kept.read_bytes() == WEIGHTS


def in_a_namespace() -> list[str]:
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        if subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("mounting a small disk needs root or user namespaces")


def test_a_cache_without_room_is_one_line_with_the_bytes_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.bin").write_bytes(bytes(3 << 20))
    (tmp_path / "small").mkdir()
    command = [str(Path(sys.executable).with_name("streamingstack")), "models", "pull", f"file://{tmp_path}/model"]
    shell = 'mount -t tmpfs -o size=2m tmpfs "$STREAMINGSTACK_CACHE" && exec "$@"'
    refused = subprocess.run(
        [*in_a_namespace(), "sh", "-c", shell, "sh", *command],
        env={**os.environ, "STREAMINGSTACK_CACHE": str(tmp_path / "small")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"streamingstack: {tmp_path}/small")
    assert f"is full: {3 << 20} bytes needed" in line
    assert "set STREAMINGSTACK_CACHE to a larger disk" in line

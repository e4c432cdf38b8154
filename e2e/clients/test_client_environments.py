"""The environments of the real clients: what they may be made from, and what is said where they cannot be made."""

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import client_environments
import client_runs
import pytest
from client_environments import HERE, JAVASCRIPT, ROOT, ClientEnvironmentError, interpreter, main, names

REGISTRY = re.compile(r'registry = "([^"]+)"')


def test_every_environment_is_apart_from_every_other() -> None:
    settings = tomllib.loads((HERE / "pyproject.toml").read_text())
    (conflicts,) = settings["tool"]["uv"]["conflicts"]
    assert sorted(entry["group"] for entry in conflicts) == sorted(names())
    assert settings["project"]["dependencies"] == []


def test_every_version_that_is_held_is_run() -> None:
    clients = [value for value in vars(client_runs).values() if isinstance(value, client_runs.Client)]
    tests = "".join(path.read_text() for path in HERE.glob("test_*.py"))
    old_sdks = {f"python-sdk-{version.replace('.', '-')}" for version in re.findall(r'"(\d+\.\d+\.\d+)"', tests)}
    assert set(names()) == {client.environment for client in clients if client.environment} | old_sdks & set(names())


def test_the_locks_name_no_other_registry_than_the_products_own() -> None:
    own, theirs = (set(REGISTRY.findall((folder / "uv.lock").read_text())) for folder in (ROOT, HERE))
    assert theirs == own
    assert len(own) == 1
    packages = json.loads((HERE / JAVASCRIPT / "package-lock.json").read_text())["packages"]
    assert not any("resolved" in package for package in packages.values())
    assert all("integrity" in package for path, package in packages.items() if path)


def test_a_client_that_nobody_knows_is_told_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["client_environments.py", "livekit", "telegraph"])
    assert main() == 2
    assert "no client is called telegraph; there are " in capsys.readouterr().err


def test_without_uv_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(client_environments, "ROOT", tmp_path)
    monkeypatch.setattr(client_environments, "ENVIRONMENTS", tmp_path / "made")
    with pytest.raises(ClientEnvironmentError, match="run `make setup`, or set UV"):
        interpreter("livekit")


def test_a_client_that_cannot_be_fetched_is_named_with_what_was_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refusing = tmp_path / "uv"
    refusing.write_text("#!/bin/sh\necho 'no route to host' >&2\nexit 2\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("UV", str(refusing))
    monkeypatch.setattr(client_environments, "ENVIRONMENTS", tmp_path / "made")
    with pytest.raises(ClientEnvironmentError, match=r"(?s)livekit cannot be installed.*no route to host"):
        interpreter("livekit")
    assert not (tmp_path / "made" / "livekit.ready").exists()

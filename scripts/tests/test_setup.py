"""What `make setup` tells where a machine lacks something. The script runs as it is, in a copy of the tree that has its
Python packages already, and sees only the programs that are named here."""

import os
import pty
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "find", "head", "id", "mktemp", "rm", "tail", "touch", "uname")
TRUE_COPY = f"{shutil.which('cp')} {shutil.which('true')}"
# Debian's folders of system programs are searched too, whatever the PATH is.
NO_NGINX = {"NGINX": "nginx-of-no-machine"}


@dataclass(frozen=True)
class Machine:
    """A copy of the tree, and a folder with all the programs there are."""

    tree: Path
    programs: Path

    def has(self, name: str, script: str = "exit 0") -> None:
        (self.programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.programs / name).chmod(0o755)

    def setup(self, wanted: str = "dev", **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.programs), "TMPDIR": str(self.programs.parent), **variables}
        script = [str(self.tree / "scripts/setup"), wanted]
        return subprocess.run(script, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    found = Machine(tmp_path / "tree", tmp_path / "bin")
    (found.tree / "scripts").mkdir(parents=True)
    found.programs.mkdir()
    shutil.copy(ROOT / "scripts/setup", found.tree / "scripts")
    for path in ROOT.iterdir():
        if not path.name.startswith(".") and path.name != "scripts":
            (found.tree / path.name).symlink_to(path)
    ready = found.tree / ".venv"
    ready.mkdir()
    (ready / "bin").symlink_to(ROOT / ".venv/bin")
    for stamp in (".ready-dev", ".ready-run"):
        (ready / stamp).touch()
    for name in TOOLS:
        (found.programs / name).symlink_to(os.path.realpath(shutil.which(name) or name))
    return found


def fails_with(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 1, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("setup: ")
    for word in words:
        assert word in line


@pytest.mark.parametrize("wanted", ["run", "dev"])
def test_a_missing_nginx_that_nothing_can_install_is_one_line_with_the_remedy(machine: Machine, wanted: str) -> None:
    fails_with(machine.setup(wanted, **NO_NGINX), "nginx is missing", "install nginx", "set NGINX to its path")


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "apt-get install -y nginx-light"),
        ("dnf", "dnf install -y nginx"),
        ("apk", "apk add nginx"),
    ],
)
@pytest.mark.parametrize("sudo", [None, "exit 1"], ids=["no sudo", "sudo asks"])
def test_who_is_not_root_is_told_what_to_run_as_root_and_no_package_manager_is_tried(
    machine: Machine, manager: str, command: str, sudo: str | None
) -> None:
    machine.has(manager, "echo tried >&2")
    (machine.programs / "id").unlink()
    machine.has("id", "echo 1000")
    if sudo:
        machine.has("sudo", sudo)
    fails_with(machine.setup(**NO_NGINX), "nginx is missing", f"as root run: {command}, or set NGINX to its path")


def test_an_nginx_that_was_installed_elsewhere_than_named_is_told(machine: Machine) -> None:
    machine.has("brew")
    fails_with(machine.setup(**NO_NGINX), "nginx was installed, but nginx-of-no-machine is not on the PATH")


def test_a_missing_nginx_is_installed_by_the_package_manager_that_is_there(machine: Machine, tmp_path: Path) -> None:
    asked, nginx = tmp_path / "asked", tmp_path / "nginx"
    (machine.programs / "id").unlink()
    machine.has("id", "echo 0")
    machine.has("dnf", f'echo "$@" >>{asked}; {TRUE_COPY} {nginx}')
    done = machine.setup("run", NGINX=str(nginx))
    assert (done.returncode, done.stdout, done.stderr) == (0, "setup: installing nginx\n", "")
    assert asked.read_text() == "install -y -q nginx\n"
    assert machine.setup("run", NGINX=str(nginx)).stdout == "", "it is there now"
    assert asked.read_text() == "install -y -q nginx\n"


@pytest.mark.parametrize("terminal", [True, False], ids=["a terminal", "a file"])
def test_the_packages_that_are_fetched_show_how_far_they_are_to_who_looks_on(machine: Machine, terminal: bool) -> None:
    for stamp in (".ready-dev", ".ready-run"):
        (machine.tree / ".venv" / stamp).unlink()
    machine.has("nginx")
    machine.has("uv", '[ "$1" = --version ] || echo "fetching: $@" >&2')
    shown = on_a_terminal(machine) if terminal else machine.setup("run").stderr
    (line,) = shown.splitlines()
    assert line.startswith("fetching: sync ")
    assert "--locked" in line
    assert ("--quiet" in line) is not terminal


def on_a_terminal(machine: Machine) -> str:
    """What is shown on a terminal of its own, to which standard error goes."""
    outer, inner = pty.openpty()
    try:
        script = [str(machine.tree / "scripts/setup"), "run"]
        environment = {"PATH": str(machine.programs), "TMPDIR": str(machine.programs.parent)}
        subprocess.run(script, env=environment, stdout=subprocess.DEVNULL, stderr=inner, timeout=30, check=True)
        return os.read(outer, 65536).decode()
    finally:
        os.close(outer)
        os.close(inner)


@pytest.mark.parametrize("manager", [None, "dnf"], ids=["no package manager", "one that has none"])
def test_a_missing_promtool_is_told_and_stops_nothing(machine: Machine, manager: str | None) -> None:
    machine.has("nginx")
    if manager:
        machine.has(manager, "echo tried >&2; exit 1")
    done = machine.setup()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == (
        "setup: promtool is missing: tests of the alerts will not run; install promtool"
    )


def test_a_promtool_is_asked_for_only_by_those_who_test(machine: Machine) -> None:
    machine.has("nginx")
    done = machine.setup("run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_where_all_is_there_nothing_is_said(machine: Machine) -> None:
    machine.has("nginx")
    machine.has("promtool")
    done = machine.setup()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("python", [None, "exit 1"], ids=["none", "too old"])
def test_a_machine_without_a_fitting_python_is_told_which_ones_fit(machine: Machine, python: str | None) -> None:
    shutil.rmtree(machine.tree / ".venv")
    if python:
        machine.has("python3", python)
    fails_with(machine.setup(), "no Python 3.11, 3.12 or 3.13 found; install one", "or set PYTHON")

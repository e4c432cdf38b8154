"""What `make test` tells where no Kubernetes cluster can be raised, or where one leaves something behind.

The script runs as it is, on two tests of its own: one that runs anywhere and one that needs a cluster.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHOSEN = """
import pytest

def test_anywhere(): ...

@pytest.mark.kubernetes
def test_on_a_cluster(): ...
"""
# What somebody may have set who runs these tests.
SETTING_IT = ("PYTEST_", "CLUSTER", "E2E_", "KUBERNETES")
NOT_RUN = "test: on a Kubernetes cluster: not run: "
# What a container of a build service lacks; who is not root lacks it anyway.
WITHOUT_RIGHTS = ("setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin") if os.geteuid() == 0 else ()


def run_of_tests(
    folder: Path, *arguments: str, way: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "test_chosen.py").write_text(CHOSEN)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTING_IT)}
    environment = {**kept, "WORKERS": "0", "KUBECONFIG": "", **variables}
    argv = [*way, "scripts/test", "-c", str(ROOT / "pyproject.toml"), str(folder / "test_chosen.py"), *arguments]
    return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("cluster", "way", "reason"),
    [
        ("local", WITHOUT_RIGHTS, "CAP_SYS_ADMIN" if WITHOUT_RIGHTS else "not root"),
        ("current", (), "CLUSTER=current needs KUBECONFIG"),
    ],
)
def test_a_cluster_that_cannot_be_raised_is_told_in_one_line_and_the_rest_passes(
    tmp_path: Path, cluster: str, way: tuple[str, ...], reason: str
) -> None:
    done = run_of_tests(tmp_path, way=way, CLUSTER=cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    (told,) = [line for line in done.stdout.splitlines() if "on a Kubernetes cluster" in line]
    assert told.startswith(f"{NOT_RUN}cluster: "), told
    assert reason in told


def test_a_required_cluster_that_cannot_be_raised_fails_the_run_though_the_rest_passes(tmp_path: Path) -> None:
    done = run_of_tests(tmp_path, CLUSTER="current", KUBERNETES="required")
    assert done.returncode == 1
    assert "1 passed" in done.stdout
    assert f"{NOT_RUN}cluster: CLUSTER=current needs KUBECONFIG" in done.stdout


# A cluster that comes up at once, in which every test passes.
EVERYTHING_WORKS = """#!/bin/sh
case "$*" in
*' door') exit 1 ;;
*' remains') cat left ;;
esac
"""


@pytest.mark.parametrize(
    ("cluster", "left", "status"),
    [
        ("local", "", 0),
        ("local", "process 7 containerd-shim\nmount /run/x\n", 1),
        ("kind", "process 7 containerd-shim\n", 0),
    ],
)
def test_a_cluster_that_was_taken_down_and_leaves_something_behind_fails_the_run(
    tmp_path: Path, cluster: str, left: str, status: int
) -> None:
    for program in (".venv/bin/python", ".venv/bin/pytest", "scripts/e2e"):
        (tmp_path / program).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / program).write_text(EVERYTHING_WORKS)
        (tmp_path / program).chmod(0o755)
    shutil.copy(ROOT / "scripts" / "test", tmp_path / "scripts")
    (tmp_path / "left").write_text(left)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTING_IT)}
    done = subprocess.run(
        [tmp_path / "scripts" / "test"], env={**kept, "CLUSTER": cluster}, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    told = f"test: the cluster is down and has left behind:\n{left}"
    assert done.stderr == (told if status else "")


def test_arguments_that_choose_no_test_fail_without_a_word_of_a_cluster(tmp_path: Path) -> None:
    done = run_of_tests(tmp_path, "-k", "of_no_name_at_all", way=WITHOUT_RIGHTS)
    assert done.returncode == 5
    assert done.stderr.splitlines() == ["test: the arguments choose no test"]
    assert "on a Kubernetes cluster" not in done.stdout

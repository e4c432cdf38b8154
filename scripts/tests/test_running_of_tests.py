"""What `make test` tells where no Kubernetes cluster can be raised. The script runs as it is, on two tests of its own:
one that runs anywhere and one that needs a cluster."""

import os
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
NOT_RUN = "test: on a Kubernetes cluster: not run: "
# What a container of a build service lacks; who is not root lacks it anyway.
WITHOUT_RIGHTS = ("setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin") if os.geteuid() == 0 else ()


def run_of_tests(
    folder: Path, *arguments: str, way: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "test_chosen.py").write_text(CHOSEN)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "CLUSTER", "E2E_"))}
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


def test_arguments_that_choose_no_test_fail_without_a_word_of_a_cluster(tmp_path: Path) -> None:
    done = run_of_tests(tmp_path, "-k", "of_no_name_at_all", way=WITHOUT_RIGHTS)
    assert done.returncode == 5
    assert done.stderr.splitlines() == ["test: the arguments choose no test"]
    assert "on a Kubernetes cluster" not in done.stdout

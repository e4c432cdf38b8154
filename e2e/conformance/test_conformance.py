"""Every numbered check of the protocol is a test over a real socket, and the page says which."""

import os
import re
import subprocess
import sys
from pathlib import Path

import conformance_unskipped
import pytest
from conformance_checks import CHECKS, NOT_YET
from conformance_collected import CheckedBy, collected
from conformance_page import PAGE, page

# Each of these, and nothing else, listens on a real socket with the real gateway behind it.
ON_A_SOCKET = {"stack", "plain_stack", "client", "local_stack"}

EVADING = """
import pytest

check = pytest.mark.check(1)

@pytest.fixture
def away(): pytest.skip("a part is away")

@check
def test_body(): pytest.skip("now now")

@check
def test_imported(): pytest.importorskip("no_such_module")

@check
def test_fixture(away): pass

@check
@pytest.mark.skipif("True", reason="here")
def test_condition(): pass

@check
def test_expected(): pytest.xfail("known")

@check
@pytest.mark.xfail
def test_expected_by_mark(): assert False

@check
@pytest.mark.xfail
def test_passed_all_the_same(): pass

@check
def test_that_runs(): pass

def test_that_is_no_check(): pytest.skip("may")
"""


@pytest.fixture(scope="module")
def marks() -> list[CheckedBy]:
    """As pytest collects them, parameters apart."""
    return collected()


def test_the_checks_are_one_to_a_hundred_and_nineteen() -> None:
    assert sorted(CHECKS) == list(range(1, 120))


def test_every_check_has_a_test(marks: list[CheckedBy]) -> None:
    tested = {mark.number for mark in marks}
    assert tested <= CHECKS.keys(), "no such number"
    assert CHECKS.keys() - tested - NOT_YET == set()


def test_what_is_tested_is_not_said_to_come_later(marks: list[CheckedBy]) -> None:
    assert {mark.number for mark in marks} & NOT_YET == set(), "take these out of NOT_YET"


def test_every_check_goes_over_a_real_socket_and_none_may_be_skipped(marks: list[CheckedBy]) -> None:
    assert [mark.test for mark in marks if not mark.fixtures & ON_A_SOCKET] == []
    assert [mark.test for mark in marks if mark.evaded] == []


def test_a_check_that_is_skipped_when_it_runs_fails(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Wherever it says so; what is no check may be skipped."""
    assert pytestconfig.pluginmanager.has_plugin("conformance_unskipped")
    (tmp_path / "test_evading.py").write_text(EVADING)
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-rA",
            "--tb=no",
            "-p",
            "no:cacheprovider",
            "-p",
            "conformance_unskipped",
        ],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(conformance_unskipped.__file__).parent)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    ended = {match[2]: match[1] for match in re.finditer(r"^(\w+) \S*::(\w+)", ran.stdout, re.M)}
    evading = {"body", "imported", "expected", "expected_by_mark", "passed_all_the_same"}
    assert {name for name, how in ended.items() if how == "FAILED"} == {f"test_{name}" for name in evading}
    assert {name for name, how in ended.items() if how == "ERROR"} == {"test_fixture", "test_condition"}
    assert ended["test_that_runs"] == "PASSED"
    assert "1 passed, 1 skipped" in ran.stdout


def test_the_page_says_what_is_tested_where(marks: list[CheckedBy]) -> None:
    assert PAGE.read_text() == page(marks), "run `make generate`"

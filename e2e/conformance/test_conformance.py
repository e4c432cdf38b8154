"""Every numbered check of the protocol is a test over a real socket, and the page says which."""

import pytest
from conformance_checks import CHECKS, NOT_YET
from conformance_collected import CheckedBy, collected
from conformance_page import PAGE, page

# Each of these, and nothing else, listens on a real socket with the real gateway behind it.
ON_A_SOCKET = {"stack", "plain_stack", "client", "local_stack"}


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


def test_the_page_says_what_is_tested_where(marks: list[CheckedBy]) -> None:
    assert PAGE.read_text() == page(marks), "run `make generate`"

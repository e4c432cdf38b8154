"""docs/troubleshooting.md has every reason of every condition, and no other."""

import re
from pathlib import Path

from stack_model.api.status import ConditionType, Reason
from test_conditions import CASES

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
# Reasons that pods of any part may have; the table of cases has each of them once.
OF_PODS = {
    Reason.IMAGE_UNAVAILABLE,
    Reason.UNSCHEDULABLE,
    Reason.QUOTA_EXCEEDED,
    Reason.CRASH_LOOPING,
    Reason.NOT_READY,
}
SAID = {(case.type, case.reason, case.status) for case in CASES if case.type is not ConditionType.READY} | {
    (ConditionType.ACCEPTED, Reason.INVALID_SPEC, "False"),
    (ConditionType.READY, Reason.READY, "True"),
    (ConditionType.READY, Reason.READY_NOT_SCALING, "True"),
    *((ConditionType.GATEWAY_AVAILABLE, reason, "False") for reason in OF_PODS),
    *((ConditionType.PROGRESSING, reason, "False") for reason in OF_PODS - {Reason.NOT_READY}),
}


def _rows() -> list[tuple[ConditionType, Reason, str, list[str]]]:
    found = []
    condition = None
    for line in PAGE.read_text().splitlines():
        if heading := re.fullmatch(r"## (\w+)", line):
            condition = ConditionType(heading[1])
        elif condition and line.startswith("| ") and not line.startswith("| reason"):
            reason, status, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.append((condition, Reason(reason), status, cells))
    return found


def test_the_page_has_every_reason_under_its_condition() -> None:
    assert {(condition, reason, status) for condition, reason, status, _ in _rows()} == SAID


def test_no_reason_is_told_twice_and_all_that_need_a_hand_say_which() -> None:
    rows = _rows()
    assert len(rows) == len({(condition, reason) for condition, reason, *_ in rows})
    for _, reason, status, (means, remedy) in rows:
        assert means or reason in (Reason.COMPLETE, Reason.READY)
        if status == "False" and reason is not Reason.COMPLETE:
            assert remedy, reason

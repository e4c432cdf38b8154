"""docs/conformance.md from the checks and the tests marked with them: `python e2e/conformance/conformance_page.py`."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from conformance_checks import CHECKS, NOT_YET, SECTIONS
from conformance_collected import ROOT, CheckedBy, collected

PAGE = ROOT / "docs" / "conformance.md"
_HEAD = f"""# Conformance

Streaming v3 in {len(CHECKS)} numbered checks, and the tests that make them. Every one talks to a real server over a
real socket: to the gateway before a scripted recogniser, whose words are known to the millisecond
(`services/gateway`), to a whole local stack with real speech (`e2e/local`), or to either through another maker's
client, unmodified (`e2e/clients`; see [Clients](clients.md)). `make test` runs them all; a number without a test
fails it.

A number such as 3006 is the code of an `Error`, which is the last message, and of the close that follows; no
`Termination` is sent then. A clean end is `Termination`, then close 1000.
This page is made by `make generate` from the marks of the tests.
"""


def page(marks: Iterable[CheckedBy]) -> str:
    """The page, for these marks."""
    by_number: dict[int, set[str]] = defaultdict(set)
    for mark in marks:
        by_number[mark.number].add(mark.test)
    parts = [_HEAD]
    for title, rules in SECTIONS.items():
        rows = [f"| {number} | {rule} | {_tests(number, by_number[number])} |" for number, rule in rules.items()]
        parts.append("\n".join([f"## {title}\n", "| # | what holds | tested in |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(parts)


def _tests(number: int, tests: set[str]) -> str:
    if not tests:
        return "with its part" if number in NOT_YET else "nowhere"
    return "<br>".join(_link(test) for test in sorted(tests))


def _link(test: str) -> str:
    path, name = test.split("::", 1)
    said = name.removeprefix("test_").replace("_", " ")
    return f"[{Path(path).parent.as_posix().removesuffix('/tests')}](../{path}): {said}"


if __name__ == "__main__":
    PAGE.write_text(page(collected()))

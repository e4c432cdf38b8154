"""A pytest plugin: a test that is one of the numbered checks may not be skipped, wherever it says so."""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skip or an expected failure, in a fixture or in the test's own body, fails it where it is a check."""
    report = yield
    if (report.skipped or hasattr(report, "wasxfail")) and item.get_closest_marker("check"):
        vars(report).pop("wasxfail", None)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} is a numbered check of the protocol and may not be skipped: {report.longrepr}"
    return report

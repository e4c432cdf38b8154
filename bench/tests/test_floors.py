"""A floor that was asked for is missed when a figure is beyond it, or when nobody measured the figure."""

from dataclasses import replace

import pytest
from streamingstack_bench.figures import Interval
from streamingstack_bench.floors import Floors
from streamingstack_bench.records import Cost
from streamingstack_bench.report import Machine, Report
from streamingstack_bench.scoring import figures

GOOD = replace(
    figures(1, [], []), completed=3, wer_gap=Interval(0.009, 0, 0.02), cost=Cost(1, 1, 1e9, 1_100_000_000, {}, 0)
)
BARE = figures(1, [], [])


def report(*rows):
    return Report("m", 1, 1.0, 100, {}, 1, Machine("p", 2, 8, 0), rows)


@pytest.mark.parametrize(
    ("floors", "row", "told"),
    [
        (Floors(), BARE, []),
        (Floors(1.0, 1.2, True), GOOD, []),
        (Floors(wer_gap_points=0.8), GOOD, ["m, 1 at once: 0.90 points of WER above offline, 0.8 allowed"]),
        (Floors(wer_gap_points=1.0), replace(GOOD, wer_gap=Interval(-0.3, -0.4, -0.2)), []),
        (Floors(pss_gb=1.0), GOOD, ["m, 1 at once: 1.10 GB of memory, 1 allowed"]),
        (
            Floors(wer_gap_points=1.0),
            BARE,
            ["m, 1 at once: an unknown number of points of WER above offline, 1 allowed"],
        ),
        (Floors(pss_gb=1.2), BARE, ["m, 1 at once: an unknown number of GB of memory, 1.2 allowed"]),
        (Floors(whole=True), BARE, ["m, 1 at once: not every session was completed by the rules"]),
        (
            Floors(whole=True),
            replace(GOOD, broken={"x": 1}),
            ["m, 1 at once: not every session was completed by the rules"],
        ),
        (
            Floors(whole=True),
            replace(GOOD, violations={"x": 1}),
            ["m, 1 at once: not every session was completed by the rules"],
        ),
    ],
)
def test_a_missed_floor_is_told(floors, row, told):
    assert list(floors.missed(report(row))) == told


def test_every_row_must_reach_the_floor():
    assert len(list(Floors(pss_gb=1.0).missed(report(GOOD, GOOD)))) == 2

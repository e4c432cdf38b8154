"""What a run must reach, so that a script can tell by the exit status."""

from collections.abc import Iterator
from dataclasses import dataclass

from streamingstack_bench.report import Report


@dataclass(frozen=True)
class Floors:
    """None: not asked. `wer_gap_points` is percentage points, `pss_gb` is 10^9 bytes."""

    wer_gap_points: float | None = None
    pss_gb: float | None = None
    whole: bool = False

    def missed(self, report: Report) -> Iterator[str]:
        """A line for each floor that a row of the report misses, or cannot show because nothing was measured."""
        for row in report.rows:
            at = f"{report.speech_model}, {row.sessions} at once"
            if self.wer_gap_points is not None:
                gap = None if row.wer_gap is None else 100 * row.wer_gap.value
                if gap is None or gap > self.wer_gap_points:
                    yield f"{at}: {_told(gap)} points of WER above offline, {self.wer_gap_points:g} allowed"
            if self.pss_gb is not None:
                peak = None if row.cost is None else row.cost.pss_peak / 1e9
                if peak is None or peak > self.pss_gb:
                    yield f"{at}: {_told(peak)} GB of memory, {self.pss_gb:g} allowed"
            if self.whole and (row.refused or row.broken or row.violations or not row.completed):
                yield f"{at}: not every session was completed by the rules"


def _told(value: float | None) -> str:
    return "an unknown number of" if value is None else f"{value:.2f}"

"""The report as a picture."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streamingstack_bench.figures import Percentiles
from streamingstack_bench.report import Report
from streamingstack_bench.scoring import Figures


def draw(reports: Sequence[Report], target: Path) -> None:
    """Lags, errors and cost by number of sessions, a row a report; PNG, SVG or PDF by the name of `target`."""
    figure = Figure(figsize=(11, 3.6 * len(reports)), layout="constrained")
    FigureCanvasAgg(figure)
    for part, report in zip(figure.subfigures(len(reports), 1, squeeze=False)[:, 0], reports, strict=True):
        lags, errors, cost = part.subplots(1, 3)
        _lags(lags, report)
        _errors(errors, report)
        _cost(cost, report)
        for axes in (lags, errors, cost):
            axes.set_xticks([row.sessions for row in report.rows])
            axes.set_xlabel("sessions at once")
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
        part.suptitle(report.speech_model)
    figure.savefig(target, dpi=130)


def _lags(axes: Axes, report: Report) -> None:
    kinds: list[tuple[str, str, Callable[[Figures], Percentiles | None]]] = [
        ("first shown", "C0", lambda row: row.word_lag),
        ("final", "C1", lambda row: row.final_lag),
    ]
    for name, colour, of in kinds:
        found = [(row.sessions, value) for row in report.rows if (value := of(row)) is not None]
        across = [sessions for sessions, _ in found]
        axes.plot(across, [value.p50 for _, value in found], f"{colour}o-", label=f"{name}, p50")
        axes.plot(across, [value.p95 for _, value in found], f"{colour}o--", label=f"{name}, p95")
    axes.set_ylabel("word lag, s")
    axes.legend(fontsize="small")


def _errors(axes: Axes, report: Report) -> None:
    for name, colour, found in (
        ("streamed", "C0", [(row.sessions, row.wer) for row in report.rows]),
        ("offline", "C2", [(row.sessions, row.wer_offline) for row in report.rows]),
    ):
        known = [(sessions, rate) for sessions, rate in found if rate is not None]
        middle = [100 * rate.value for _, rate in known]
        low = [100 * (rate.value - rate.low) for _, rate in known]
        high = [100 * (rate.high - rate.value) for _, rate in known]
        axes.errorbar([n for n, _ in known], middle, [low, high], fmt=f"{colour}o-", capsize=3, label=name)
    axes.set_ylabel("WER, %")
    axes.legend(fontsize="small")


def _cost(axes: Axes, report: Report) -> None:
    known = [(row.sessions, row.cost, row.audio_s) for row in report.rows if row.cost is not None and row.audio_s]
    across = [sessions for sessions, _, _ in known]
    axes.plot(across, [cost.cpu_s / audio for _, cost, audio in known], "C3o-", label="processor s per audio s")
    axes.plot(across, [cost.pss_peak / 1e9 for _, cost, _ in known], "C4s-", label="memory (PSS peak), GB")
    axes.legend(fontsize="small")

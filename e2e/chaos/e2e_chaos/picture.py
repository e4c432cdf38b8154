"""A run as a picture: how late final words were, calm and in chaos, and when streams were lost to what."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from e2e_chaos.figures import by_second
from e2e_chaos.parts import Made
from e2e_chaos.plan import KINDS
from e2e_chaos.records import Outcome

_COLOURS = {part: f"C{number}" for number, part in enumerate(KINDS)}


def draw(calm: Outcome, chaos: Outcome, made: Sequence[Made], target: Path) -> None:
    """PNG, SVG or PDF by the name of `target`."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    FigureCanvasAgg(figure)
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(2, 3, 2))
    _lag(above, calm, "calm")
    _lag(middle, chaos, "chaos")
    middle.set_ylim(bottom=0)
    above.set_ylim(middle.get_ylim())
    _troubles(middle, chaos, made)
    _losses(below, chaos)
    below.set_xlabel("seconds of the run")
    figure.savefig(target, dpi=110)


def _lag(axes: Axes, outcome: Outcome, name: str) -> None:
    seconds, median, most = by_second(outcome.scripted, outcome.began)
    axes.plot(seconds, median, color="C0", linewidth=1, label="scripted, median")
    axes.plot(seconds, most, color="C0", linewidth=0.8, alpha=0.6, label="scripted, most late")
    seconds, _, most = by_second(outcome.speech, outcome.began)
    axes.plot(seconds, most, color="0.5", linewidth=0.8, label="real speech, most late")
    axes.set_ylabel(f"{name}: lag of final words, s")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper right")


def _troubles(axes: Axes, outcome: Outcome, made: Sequence[Made]) -> None:
    for part in KINDS:
        times = [one.at - outcome.began for one in made if one.trouble.part == part]
        axes.vlines(times, 0, axes.get_ylim()[1], colors=_COLOURS[part], linewidth=1, alpha=0.8, label=part)
    axes.legend(fontsize="x-small", ncols=4, loc="upper left")


def _losses(axes: Axes, outcome: Outcome) -> None:
    reasons = sorted({loss.reason for loss in outcome.lost})
    bottom: Counter[int] = Counter()
    for reason in reasons:
        counts = Counter(int(loss.at - outcome.began) // 5 * 5 for loss in outcome.lost if loss.reason == reason)
        seconds = sorted(counts)
        axes.bar(seconds, [counts[s] for s in seconds], 4, [bottom[s] for s in seconds], align="edge", label=reason)
        bottom.update(counts)
    axes.set_ylabel("streams lost in 5 s")
    axes.grid(alpha=0.3)
    if reasons:
        axes.legend(fontsize="small")

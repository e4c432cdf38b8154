"""Turn quality as a table, and what of it was missed. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streamingstack_bench.figures import Interval, Percentiles
from streamingstack_bench.report import NONE, Machine, line, share
from streamingstack_bench.turn_scoring import Forced, TurnFigures

_ABOUT = (
    "{clips} recordings ({audio_s:.0f} s with the pauses between them) in real time, one session at a time, chunks of "
    "{chunk_ms} ms, by `make turn-quality` on {cores} cores of {processor} with {memory:.0f} GiB; load average before: "
    "{load:.1f}. What each line means: [bench/README.md](../bench/README.md#turn-quality)."
)


@dataclass(frozen=True)
class TurnReport:
    """A whole run: a column for each configuration, by its name; `forced`: what ForceEndpoints brought."""

    speech_model: str
    clips: int
    audio_s: float
    chunk_ms: int
    machine: Machine
    columns: Mapping[str, TurnFigures]
    forced: Forced | None = None


@dataclass(frozen=True)
class Limits:
    """p95 in milliseconds; None: not asked. Each configuration must keep to them."""

    excess_ms: float | None = None
    force_ms: float | None = None
    first_partial_ms: float | None = None

    def missed(self, report: TurnReport) -> Iterator[str]:
        """A line for each limit that is passed, or that nothing was measured for."""
        if self.force_ms is not None:
            at = f"{report.speech_model}: ForceEndpoint"
            yield from _above(f"{at} to final", report.forced.to_final if report.forced else None, self.force_ms)
            if report.forced is not None and (report.forced.unanswered or report.forced.failed):
                yield f"{at}: {_unanswered(report.forced)}"
        for name, column in report.columns.items():
            at = f"{report.speech_model}, {name}"
            if column.failed or not column.sessions:
                yield f"{at}: not every session was completed by the rules"
            if self.excess_ms is not None:
                yield from _above(f"{at}: excess over the silence", column.excess, self.excess_ms)
            if self.first_partial_ms is not None:
                yield from _above(f"{at}: first partial", column.first_partial, self.first_partial_ms)


def _above(what: str, found: Percentiles | None, limit_ms: float) -> Iterator[str]:
    if found is None:
        yield f"{what}: nothing was measured"
    elif found.p95 * 1000 > limit_ms:
        yield f"{what}: p95 {found.p95 * 1000:.0f} ms, {limit_ms:g} allowed"


def markdown(report: TurnReport, title: str) -> str:
    """A section for the documentation."""
    machine = report.machine
    about = _ABOUT.format(
        clips=report.clips,
        audio_s=report.audio_s,
        chunk_ms=report.chunk_ms,
        cores=machine.cores,
        processor=machine.processor,
        memory=machine.memory_gib,
        load=machine.load,
    )
    return f"## {title}\n\n{about}\n\n{table(report)}\n"


def table(report: TurnReport) -> str:
    """The table alone, and a line on ForceEndpoint below it."""
    figures = list(report.columns.values())
    rows = [(name, [show(one) for one in figures]) for name, show in _LINES]
    lines = [line(["", *report.columns]), line(["---"] * (1 + len(figures)))]
    lines += [line([name, *cells]) for name, cells in rows if any(cell != NONE for cell in cells)]
    if report.forced is not None:
        to_final = _milliseconds(report.forced.to_final)
        lines += ["", f"ForceEndpoint to final: {to_final} ms (p50 / p95). {_unanswered(report.forced)}."]
    return "\n".join(lines)


def _unanswered(one: Forced) -> str:
    counts = f"{one.ordered} ordered, {len(one.lags)} answered, {one.wordless} without a turn to end, "
    return f"{counts}{one.unanswered} unanswered; sessions that failed: {_reasons(one.failed)}"


def _milliseconds(found: Percentiles | None) -> str:
    return NONE if found is None else f"{found.p50 * 1000:.0f} / {found.p95 * 1000:.0f}"


def _false(one: TurnFigures) -> str:
    rate = one.false_per_minute
    return NONE if rate is None else f"{_rate(rate)}: {one.false_ends}"


def _rate(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _cost(one: TurnFigures) -> str:
    return NONE if one.cost is None or not one.audio_s else f"{one.cost.cpu_s / one.audio_s:.3f}"


def _reasons(failed: Mapping[str, int]) -> str:
    return "; ".join(f"{count} x {reason}" for reason, count in sorted(failed.items())) or "0"


def _count(values: Sequence[int]) -> str:
    return " of ".join(str(value) for value in values)


_LINES = (
    ("sessions refused, broken or against a rule", lambda one: _reasons(one.failed)),
    ("utterances, ends of turn", lambda one: f"{one.utterances}, {one.ends}"),
    ("end of speech to final, p50 / p95 ms", lambda one: _milliseconds(one.to_final)),
    ("· until voice activity heard silence", lambda one: _milliseconds(one.voice)),
    ("· silence waited for", lambda one: _milliseconds(one.waited)),
    ("· excess", lambda one: _milliseconds(one.own_excess)),
    ("excess over the silence, all ends", lambda one: _milliseconds(one.excess)),
    ("first partial after the onset, p50 / p95 ms", lambda one: _milliseconds(one.first_partial)),
    ("utterances without one", lambda one: str(one.unshown)),
    ("false ends by minute of speech: count", _false),
    ("share of semantic ends", lambda one: NONE if one.semantic is None else f"{one.semantic:.0%}"),
    ("utterances joined with the next", lambda one: _count((one.joined, one.utterances))),
    ("ends that no silence explains", lambda one: str(one.unplaced)),
    ("WER of finals", lambda one: share(one.wer)),
    ("processor seconds per audio second", _cost),
    ("cores that others used meanwhile", lambda one: NONE if one.cost is None else f"{one.cost.others_cores:.2f}"),
)

"""The report of a run: JSON for programs, rows for people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from streamingstack_bench.figures import Interval, Percentiles
from streamingstack_bench.scoring import ClipScore, Figures


@dataclass(frozen=True)
class Machine:
    """Where the stack ran. `load` is the one-minute load average before the first session."""

    processor: str
    cores: int
    memory_gib: float
    load: float


@dataclass(frozen=True)
class Report:
    """A whole run: what was asked, where, and a row for each number of sessions; `by_clip` is keyed by that number."""

    speech_model: str
    clips: int
    clips_audio_s: float
    chunk_ms: int
    parameters: Mapping[str, str]
    clips_per_session: int
    machine: Machine
    rows: Sequence[Figures]
    by_clip: Mapping[int, Sequence[ClipScore]] = field(default_factory=dict)

    def as_json(self, *, texts: bool = False) -> dict[str, Any]:
        """For json.dump. What was spoken is left out unless `texts` is asked for."""
        plain = asdict(self)
        for clip in (clip for scores in plain["by_clip"].values() for clip in scores):
            if not texts:
                del clip["text"]
        return plain


Row = tuple[str, Sequence[str]]


def rows(figures: Sequence[Figures]) -> list[Row]:
    """The table as text: a line for each figure, a cell for each number of sessions."""
    lines: list[Row] = [("sessions", [str(one.sessions) for one in figures])]
    lines += [(title, [show(one) for one in figures]) for title, show in _LINES]
    parts = sorted({name for one in figures if one.cost for name in one.cost.parts})
    lines += [(f"· {part}, PSS peak", [_part_memory(one, part) for one in figures]) for part in parts]
    return [line for line in lines if any(cell != NONE for cell in line[1])]


NONE = "–"


def _seconds(found: Percentiles | None) -> str:
    return NONE if found is None else f"{found.p50:.2f} / {found.p95:.2f} / {found.p99:.2f} s"


def share(found: Interval | None) -> str:
    """A rate with its interval."""
    return NONE if found is None else f"{found.value:.2%} ({found.low:.2%} to {found.high:.2%})"


def points(found: Interval | None) -> str:
    """A difference of two rates with its interval, in percentage points."""
    if found is None:
        return NONE
    value, low, high = (100 * edge for edge in (found.value, found.low, found.high))
    return f"{value:+.2f} points ({low:+.2f} to {high:+.2f})"


def _count(reasons: Mapping[str, int]) -> str:
    return "0" if not reasons else "; ".join(f"{count} x {reason}" for reason, count in sorted(reasons.items()))


def _memory(size: float) -> str:
    return f"{size / 1e9:.2f} GB"


def _part_memory(one: Figures, part: str) -> str:
    if one.cost is None or part not in one.cost.parts:
        return NONE
    found = one.cost.parts[part]
    return f"{found.pss_peak / 1e6:.0f} MB" + (f" ({found.processes} processes)" if found.processes > 1 else "")


def _late(one: Figures) -> str:
    return f"{one.late_sends:.2%}, worst {one.latest_send_s * 1000:.0f} ms"


_LINES = (
    ("completed", lambda one: str(one.completed)),
    ("refused", lambda one: _count(one.refused)),
    ("broken", lambda one: _count(one.broken)),
    ("protocol rules broken", lambda one: _count(one.violations)),
    ("audio streamed", lambda one: f"{one.audio_s:.0f} s"),
    ("word lag p50 / p95 / p99", lambda one: _seconds(one.word_lag)),
    ("final word lag p50 / p95 / p99", lambda one: _seconds(one.final_lag)),
    ("time to first partial", lambda one: _seconds(one.first_word)),
    ("end of audio to final", lambda one: _seconds(one.end_to_final)),
    ("end of audio to Termination", lambda one: _seconds(one.end_to_termination)),
    ("connection to Begin", lambda one: _seconds(one.begin)),
    ("words never shown", lambda one: NONE if one.never_shown is None else f"{one.never_shown:.1%}"),
    ("WER, streamed", lambda one: share(one.wer)),
    ("WER, same weights offline", lambda one: share(one.wer_offline)),
    ("streamed less offline", lambda one: points(one.wer_gap)),
    ("WER of streamed to offline text", lambda one: share(one.wer_to_offline)),
    ("processor seconds per audio second", lambda one: f"{_cpu_share(one):.3f}" if one.cost else NONE),
    ("memory (PSS), peak", lambda one: _memory(one.cost.pss_peak) if one.cost else NONE),
    ("memory (PSS), mean", lambda one: _memory(one.cost.pss_mean) if one.cost else NONE),
    ("chunks sent over 50 ms late", _late),
    ("cores that others used meanwhile", lambda one: f"{one.cost.others_cores:.2f}" if one.cost else NONE),
)


def _cpu_share(one: Figures) -> float:
    assert one.cost is not None
    return one.cost.cpu_s / one.audio_s if one.audio_s else 0.0


def markdown(report: Report, title: str) -> str:
    """A section for the documentation."""
    (first, heads), *lines = rows(report.rows)
    machine = report.machine
    text = [
        f"## {title}",
        "",
        f"{report.clips} recordings ({report.clips_audio_s:.0f} s), chunks of {report.chunk_ms} ms, on {machine.cores} "
        f"cores of {machine.processor} with {machine.memory_gib:.0f} GiB; load average before: {machine.load:.1f}.",
        "",
        line([first, *heads]),
        line(["---"] * (1 + len(heads))),
        *(line([name, *cells]) for name, cells in lines),
    ]
    return "\n".join(text) + "\n"


def line(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def with_section(document: str, name: str, body: str) -> str:
    """`document` with the section `name` replaced, or added at its end; everything else stays as it is."""
    opening, closing = f"<!-- bench {name}: written by `streamingstack bench` -->", f"<!-- bench {name}: end -->"
    section = f"{opening}\n\n{body.strip()}\n\n{closing}"
    before, found, rest = document.partition(opening)
    if not found:
        return f"{document.rstrip()}\n\n{section}\n".lstrip()
    _, closed, after = rest.partition(closing)
    if not closed:
        raise ValueError(f"the section {name} has no end: expected {closing}")
    return before + section + after

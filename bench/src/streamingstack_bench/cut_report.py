"""What the cuts cost: every word that differs from the uncut run, gaps, word error rates. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamingstack_bench.cut_plan import Blow, Cut
from streamingstack_bench.figures import error_rate, percentiles, pooled, rate_difference
from streamingstack_bench.report import Machine, line, points, share
from streamingstack_bench.wording import Edit, Tokens, WordErrors, edits, word_errors


@dataclass(frozen=True)
class Outcome:
    """One cut that was made: seconds from the lost stream's last message until another had caught up; None: it never
    did. `losses`: streams that the gateway lost meanwhile, one where all went well."""

    cut: Cut
    gap_s: float | None
    losses: int = 1


@dataclass(frozen=True)
class Compared:
    """One recording, normalised: what is said in it, what was heard without cuts, and with them. `fate` is the cut
    session's."""

    clip: str
    spoken: Tokens | None
    uncut: Tokens
    cut: Tokens
    fate: str = "completed"

    @property
    def edits(self) -> list[Edit]:
        """What the cuts changed."""
        return edits(self.uncut, self.cut)


@dataclass(frozen=True)
class CutReport:
    """A whole run; `missed` are planned cuts that were not made."""

    speech_model: str
    audio_s: float
    seed: int
    machine: Machine
    outcomes: Sequence[Outcome]
    compared: Sequence[Compared]
    missed: Sequence[Cut] = ()

    @property
    def lost_or_doubled(self) -> int:
        """Words inserted or deleted against the uncut run, in all."""
        return sum(edit.kind != "substitution" for one in self.compared for edit in one.edits)


def markdown(report: CutReport) -> str:
    """A section for the documentation."""
    machine = report.machine
    about = (
        f"{len(report.compared)} recordings ({report.audio_s:.0f} s), first uncut, then cut in {len(report.outcomes)} "
        f"places (seed {report.seed}), by `make failover` on {machine.cores} cores of {machine.processor} with "
        f"{machine.memory_gib:.0f} GiB. A gap is from the last message of the lost stream until another has caught up. "
        "Words are compared after Whisper's normaliser."
    )
    rows = [line([name, value]) for name, value in _rows(report)]
    text = [f"## A recogniser lost in mid-speech: `{report.speech_model}`", "", about, ""]
    text += [line(["cuts", str(len(report.outcomes))]), line(["---", "---"]), *rows]
    differing = list(_differing(report))
    if differing:
        head = ["recording", "cut at", "by", "change", "uncut", "cut"]
        text += ["", "Every word that differs:", "", line(head), line(["---"] * len(head)), *map(line, differing)]
    return "\n".join(text) + "\n"


def _rows(report: CutReport) -> Iterator[tuple[str, str]]:
    outcomes, compared = report.outcomes, report.compared
    counted = Counter(outcome.cut.blow for outcome in outcomes)
    yield "by", ", ".join(f"{counted[blow]} {blow}" for blow in Blow if counted[blow])
    yield "planned, but not made", str(len(report.missed))
    yield "sessions broken", str(sum(one.fate != "completed" for one in compared))
    yield "cuts without a way on", str(sum(outcome.gap_s is None for outcome in outcomes))
    yield "cuts that lost more than one stream", str(sum(outcome.losses > 1 for outcome in outcomes))
    yield "gap p50 / p95 / longest", _gap(outcomes)
    for blow in Blow:
        if counted[blow]:
            yield f"· {blow}", _gap([outcome for outcome in outcomes if outcome.cut.blow == blow])
    kinds = Counter(edit.kind for one in compared for edit in one.edits)
    yield "words of the uncut run", str(sum(len(one.uncut) for one in compared))
    yield "words inserted / deleted by the cuts", f"{kinds['insertion']} / {kinds['deletion']}"
    yield "words heard as another", str(kinds["substitution"])
    yield "recordings with the very same words", f"{sum(not one.edits for one in compared)} of {len(compared)}"
    without, cut = _errors(compared, cut=False), _errors(compared, cut=True)
    yield "WER, uncut", share(error_rate(without))
    yield "WER, cut", share(error_rate(cut))
    yield "cut less uncut", points(rate_difference(cut, without))


def _gap(outcomes: Sequence[Outcome]) -> str:
    gaps = [outcome.gap_s for outcome in outcomes if outcome.gap_s is not None]
    found = percentiles(gaps)
    return "–" if found is None else f"{found.p50:.2f} / {found.p95:.2f} / {max(gaps):.2f} s"


def _errors(compared: Sequence[Compared], *, cut: bool) -> dict[str, WordErrors]:
    return pooled(
        (one.clip, word_errors(one.spoken, one.cut if cut else one.uncut)) for one in compared if one.spoken is not None
    )


def _differing(report: CutReport) -> Iterator[Sequence[str]]:
    for one in report.compared:
        cuts = [outcome.cut for outcome in report.outcomes if outcome.cut.clip == one.clip]
        at = ", ".join(f"{cut.at_s:.1f} s" for cut in cuts)
        by = ", ".join(cut.blow for cut in cuts)
        for edit in one.edits:
            yield one.clip, at, by, edit.kind, edit.reference, edit.hypothesis

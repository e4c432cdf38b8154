"""A run as Markdown. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamingstack_bench.report import Machine

from e2e_chaos.counters import by_label, quantile
from e2e_chaos.figures import Row, Spread, lags, rows, spread, unexplained
from e2e_chaos.parts import Made
from e2e_chaos.plan import Trouble
from e2e_chaos.records import Comeback, Metered, Outcome
from e2e_chaos.verdict import Verdict

GAP = "gateway_recognizer_failover_gap_seconds"
LOOP = "scripted_event_loop_lag_seconds"
_EXAMPLES = 12


@dataclass(frozen=True)
class Side:
    """A run with what its words are worth: `errors` are word error rates of the sessions of real speech."""

    outcome: Outcome
    scripted: Verdict
    errors: Sequence[float]


@dataclass(frozen=True)
class GatewayKill:
    """What a gateway's own kill came to: its clients, and the words of all, each session on its own."""

    clients: Sequence[Comeback]
    untouched: Verdict
    usage: Metered


@dataclass(frozen=True)
class Report:
    """Everything that is told."""

    machine: Machine
    seed: int
    seconds: float
    calm: Side
    chaos: Side
    difference: Verdict
    made: Sequence[Made]
    skipped: Sequence[Trouble]
    usage: Metered
    gateway: GatewayKill | None

    @property
    def failures(self) -> list[str]:
        """What must not be, one line each."""
        scripted, found = self.chaos.scripted, []
        if not self.calm.scripted.is_clean:
            found.append("the calm run was not clean: this machine is too slow for so many sessions")
        if not scripted.is_clean:
            found.append(
                f"scripted sessions: {scripted.lost} words lost, {scripted.doubled} doubled, "
                f"{scripted.changed} changed, {scripted.cut} sessions cut"
            )
        if self.difference.cut:
            found.append(f"{self.difference.cut} sessions of real speech were cut")
        if self.gateway is not None:
            found += gateway_failures(self.gateway)
        return found


def gateway_failures(kill: GatewayKill) -> list[str]:
    """What must not be when a gateway is killed."""
    away = [client.away_s for client in kill.clients if client.broke_off]
    found = []
    if not away:
        found.append("the gateway that was killed carried no session")
    if away and max(away) >= 2:
        found.append(f"a client of a killed gateway came back only after {max(away):.1f} s")
    if not kill.untouched.is_clean:
        found.append("a session of another gateway noticed the kill")
    if kill.usage.most_short_s > 5.5 or kill.usage.missing:
        found.append(f"usage of a session lacks {kill.usage.most_short_s:.1f} s, {kill.usage.missing} are unknown")
    return found


def markdown(report: Report, picture: str) -> str:
    """The whole page's section."""
    chaos = report.chaos.outcome
    machine = f"{report.machine.cores} cores of {report.machine.processor} with {report.machine.memory_gib:.0f} GiB"
    return "\n".join(
        [
            "## The run",
            "",
            f"{len(chaos.scripted)} scripted sessions and {len(chaos.speech)} of real speech for "
            f"{report.seconds:.0f} s, seed {report.seed}, {len(report.made)} troubles made"
            f"{f', {len(report.skipped)} left out for want of time' if report.skipped else ''}; everything on one "
            f"machine ({machine}): cluster, stack and clients.",
            "",
            *_table(["", "calm", "chaos"], _sides(report)),
            "",
            f"![Lag of final words over the run, and streams lost]({picture})",
            "",
            "### Troubles",
            "",
            *_table(_TROUBLE_HEAD, [_trouble(row) for row in rows(report.made, chaos.lost)]),
            "",
            f"Streams lost without a trouble that explains it: {unexplained(report.made, chaos.lost)}.",
            "",
            "### Real speech against the calm run",
            "",
            *_table(["", "value"], _speech(report)),
            "",
            "### Usage",
            "",
            *_table(["", "chaos", *(["a gateway killed"] if report.gateway else [])], _usage(report)),
            "",
            *(_gateway(report.gateway) if report.gateway else []),
            *_examples(report),
        ]
    )


_TROUBLE_HEAD = ["part", "trouble", "made", "streams lost", "noticed after p50 / most", "whole again after p50 / most"]


def _sides(report: Report) -> list[list[str]]:
    sides = [report.calm, report.chaos]
    lag = [spread(lags(side.outcome.scripted)) for side in sides]
    speech = [spread(lags(side.outcome.speech)) for side in sides]
    counts: list[tuple[str, list[object]]] = [
        ("scripted words said", [side.scripted.words for side in sides]),
        ("**words lost**", [side.scripted.lost for side in sides]),
        ("**words doubled**", [side.scripted.doubled for side in sides]),
        ("words changed", [side.scripted.changed for side in sides]),
        ("**scripted sessions cut**", [side.scripted.cut for side in sides]),
        ("most that a word's time moved", [f"{side.scripted.moved_ms} ms" for side in sides]),
        ("sessions of real speech cut", [_cut(side) for side in sides]),
        ("streams lost, by reason", [_reasons(side.outcome.counted) for side in sides]),
        ("gap of a failover p50 / p95", [_gap(side.outcome.counted) for side in sides]),
        ("final words of the script, lag p50 / p95 / p99 / most", [_spread(one) for one in lag]),
        ("final words of real speech, lag p50 / p95 / p99 / most", [_spread(one) for one in speech]),
        ("event loops of scripted recognisers woken late, p99 / most", [_loop(side.outcome.lag) for side in sides]),
        ("cores that all pods used", [f"{side.outcome.pods_cores:.2f}" for side in sides]),
        ("machine busy, with whatever else ran on it", [f"{100 * side.outcome.busy:.0f} %" for side in sides]),
        ("clients sent late, most", [f"{_late(side):.2f} s" for side in sides]),
    ]
    return [[name, *map(str, cells)] for name, cells in counts]


def _trouble(row: Row) -> list[str]:
    return [row.part, row.kind, str(row.made), str(row.lost), _two(row.noticed), _two(row.whole)]


def _speech(report: Report) -> list[list[str]]:
    found = report.difference
    pairs = zip(report.calm.errors, report.chaos.errors, strict=True)
    return [
        ["words in the calm run", str(found.words)],
        ["words missing / added / other", f"{found.lost} / {found.doubled} / {found.changed}"],
        ["sessions cut", str(found.cut)],
        ["word error rate calm / chaos, by session", "; ".join(f"{100 * a:.1f} % / {100 * b:.1f} %" for a, b in pairs)],
    ]


def _usage(report: Report) -> list[list[str]]:
    sides = [report.usage, *([report.gateway.usage] if report.gateway else [])]
    lines: list[tuple[str, list[str]]] = [
        ("sessions", [str(one.sessions) for one in sides]),
        ("audio sent", [f"{one.sent_s:.1f} s" for one in sides]),
        ("audio metered", [f"{one.metered_s:.1f} s" for one in sides]),
        ("sessions that are unknown", [str(one.missing) for one in sides]),
        ("most that a session's usage lacks", [f"{one.most_short_s:.2f} s" for one in sides]),
        ("most that it has too much", [f"{one.most_over_s:.2f} s" for one in sides]),
    ]
    return [[name, *cells] for name, cells in lines]


def _gateway(kill: GatewayKill) -> list[str]:
    away = [client.away_s for client in kill.clients if client.broke_off]
    lines = [
        ["sessions", str(len(kill.clients))],
        ["sessions that broke off", str(len(away))],
        ["until their clients had Begin again, p50 / most", _two(spread(away))],
        ["sessions of the other gateway: cut / words lost / doubled", _three(kill.untouched)],
    ]
    return ["### A gateway is killed", "", *_table(["", "value"], lines), ""]


def _examples(report: Report) -> list[str]:
    told = [*report.chaos.scripted.examples, *report.difference.examples][:_EXAMPLES]
    return ["### What differed", "", *(f"- {line}" for line in told), ""] if told else []


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {' | '.join(line)} |" for line in lines)]


def _cut(side: Side) -> int:
    return sum(not heard.is_whole for heard in side.outcome.speech)


def _late(side: Side) -> float:
    return max((heard.late_s for heard in [*side.outcome.scripted, *side.outcome.speech]), default=0.0)


def _reasons(counted: Mapping[str, float]) -> str:
    found = by_label(counted, "gateway_recognizer_failovers_total", "reason")
    return ", ".join(f"{reason} {count:.0f}" for reason, count in sorted(found.items())) or "none"


def _gap(counted: Mapping[str, float]) -> str:
    middle, high = quantile(counted, GAP, 0.5), quantile(counted, GAP, 0.95)
    return "-" if middle is None else f"≤ {middle:g} / ≤ {high:g} s"


def _loop(lag: Mapping[str, float]) -> str:
    high, most = quantile(lag, LOOP, 0.99), quantile(lag, LOOP, 1.0)
    return "-" if high is None else f"≤ {high:g} / ≤ {most:g} s"


def _spread(found: Spread | None) -> str:
    return "-" if found is None else f"{found.p50:.2f} / {found.p95:.2f} / {found.p99:.2f} / {found.most:.2f} s"


def _two(found: Spread | None) -> str:
    return "-" if found is None else f"{found.p50:.1f} / {found.most:.1f} s"


def _three(found: Verdict) -> str:
    return f"{found.cut} / {found.lost} / {found.doubled}"

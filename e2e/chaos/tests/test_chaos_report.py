"""Figures and report of a run whose records are known."""

from pathlib import Path

import pytest
from e2e_chaos.counters import buckets, by_label, quantile, read_pages, since
from e2e_chaos.figures import by_second, rows, spread, unexplained
from e2e_chaos.parts import Made
from e2e_chaos.picture import draw
from e2e_chaos.plan import Kind, Part, Trouble
from e2e_chaos.records import Comeback, Heard, Lost, Metered, Outcome, Word
from e2e_chaos.report import GAP, GatewayKill, Report, Side, gateway_failures, markdown
from e2e_chaos.usage import counted
from e2e_chaos.verdict import Verdict
from prometheus_client import CollectorRegistry, generate_latest
from streaming_gateway.link.metrics import LinkMetrics
from streamingstack_bench.report import Machine

PAGE = """
# TYPE gateway_recognizer_failovers_total counter
gateway_recognizer_failovers_total{reason="silent"} 3.0
gateway_recognizer_failovers_total{reason="broken"} 0.0
# TYPE gap histogram
gap_bucket{le="0.5"} 1.0
gap_bucket{le="2.0"} 3.0
gap_bucket{le="+Inf"} 4.0
gap_count 4.0
gap_sum 7.0
"""


def test_pages_are_summed_and_compared() -> None:
    one = read_pages([PAGE])
    two = read_pages([PAGE, PAGE])
    assert by_label(two, "gateway_recognizer_failovers_total", "reason") == {"silent": 6.0}
    assert since(one, two) == one
    assert buckets(one, "gap") == [(0.5, 1.0), (2.0, 3.0), (float("inf"), 4.0)]


def test_what_gateways_count_is_read_whatever_their_routes() -> None:
    registry = CollectorRegistry()
    metrics = LinkMetrics(registry)
    for route, gap in (("en-default", 0.4), ("en-default", 3.1), ("ml-default", 0.4)):
        metrics.failovers.labels(route, "silent").inc()
        metrics.gap.labels(route).observe(gap)
    counted = read_pages([generate_latest(registry).decode()])
    assert by_label(counted, "gateway_recognizer_failovers_total", "reason") == {"silent": 3.0}
    assert (quantile(counted, GAP, 0.5), quantile(counted, GAP, 0.95)) == (0.4, 3.25)


@pytest.mark.parametrize(("share", "bound"), [(0.25, 0.5), (0.5, 2.0), (0.75, 2.0), (0.9, float("inf"))])
def test_a_quantile_is_the_least_bound_that_holds_it(share: float, bound: float) -> None:
    assert quantile(read_pages([PAGE]), "gap", share) == bound
    assert quantile({}, "gap", share) is None


def made(at: float, part: Part, kind: Kind, whole_at: float | None = None) -> Made:
    return Made(Trouble(at, part, kind, 0.0), at, "pod", None, None, whole_at)


MADE = [
    made(10, "scripted recogniser", "delete", 18),
    made(15, "scripted Triton", "kill", 17),
    made(30, "operator", "kill", 33),
    made(40, "scripted Triton", "kill", 44),
]
LOST = [Lost(16, "a", "broken"), Lost(20, "b", "draining"), Lost(31, "a", "broken"), Lost(43, "a", "silent")]


def test_losses_belong_to_the_trouble_that_caused_them() -> None:
    found = {(row.part, row.kind): row for row in rows(MADE, LOST)}
    triton = found["scripted Triton", "kill"]
    assert (triton.made, triton.lost) == (2, 3)
    assert triton.noticed == spread([1.0, 16.0, 3.0])
    assert triton.whole is not None
    assert triton.whole.most == 4.0
    deleted = found["scripted recogniser", "delete"]
    assert (deleted.lost, deleted.noticed) == (1, spread([10.0]))
    assert found["operator", "kill"].lost == 0


def test_a_loss_without_any_trouble_before_it_is_unexplained() -> None:
    assert unexplained(MADE, [*LOST, Lost(9, "a", "silent"), Lost(14, "a", "silent")]) == 2
    assert unexplained([], [Lost(9, "a", "draining")]) == 1


def test_lags_are_told_by_second() -> None:
    heard = Heard("a", lags=[(100.2, 1.0), (100.9, 3.0), (102.0, 2.0)])
    assert by_second([heard, Heard("b", lags=[(100.5, 5.0)])], 100.0) == ([0, 2], [3.0, 2.0], [5.0, 2.0])


def test_usage_is_what_was_sent_against_what_is_known() -> None:
    every = [Heard("a", "1", sent_s=10.0), Heard("b", "2", sent_s=20.0), Heard("c", "3", sent_s=5.0), Heard("d")]
    found = counted(every, {"1": 10_000, "2": 15_500, "3": 5_200})
    assert (found.sessions, found.sent_s, found.metered_s, found.missing) == (3, 35.0, 30.7, 0)
    assert found.most_short_s == 4.5
    assert found.most_over_s == pytest.approx(0.2)
    assert counted(every, {"1": 10_000, "2": 20_000}).missing == 1


def outcome(*scripted: Heard) -> Outcome:
    speech = Heard("real", "9", [Word("well", 0, 9)], [(103.0, 1.5)], terminated=True, code=1000)
    return Outcome(100.0, list(scripted), [speech], [Lost(110.0, "1", "silent")], read_pages([PAGE]), {}, 0.5)


def report(chaos: Verdict, **more: object) -> Report:
    whole = Heard("one", "1", [Word("a", 0, 9)], [(101.0, 1.0), (102.0, 1.2)], terminated=True, code=1000)
    side = Side(outcome(whole), Verdict(1, 0, 10), [0.1])
    usage = Metered(1, 10.0, 10.0, 0, 0.0, 0.0)
    kill = GatewayKill([Comeback((whole,)), Comeback((whole, whole), 0.8)], Verdict(1), usage)
    machine = Machine("a processor", 2, 24.0, 0.1)
    fields: dict[str, object] = {
        "machine": machine,
        "seed": 7,
        "seconds": 600,
        "calm": side,
        "chaos": Side(side.outcome, chaos, [0.12]),
        "difference": Verdict(1, 0, 100, 1, 0, 2),
        "made": MADE,
        "skipped": [],
        "usage": usage,
        "gateway": kill,
    }
    return Report(**{**fields, **more})  # type: ignore[arg-type]


def test_a_clean_run_breaks_no_promise_and_tells_all_of_it() -> None:
    clean = report(Verdict(1, 0, 10))
    assert clean.failures == []
    text = markdown(clean, "chaos.png")
    for told in (
        "1 scripted sessions and 1 of real speech for 600 s, seed 7, 4 troubles made;",
        "| **words lost** | 0 | 0 |",
        "| streams lost, by reason | silent 3 | silent 3 |",
        "| scripted Triton | kill | 2 |",
        "| words missing / added / other | 1 / 0 / 2 |",
        "10.0 % / 12.0 %",
        "| until their clients had Begin again, p50 / most | 0.8 / 0.8 s |",
        "2 cores of a processor",
    ):
        assert told in text
    assert "well" not in text, "nothing that was spoken"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (report(Verdict(1, 0, 10, lost=1)), "1 words lost"),
        (report(Verdict(1, 1, 10)), "1 sessions cut"),
        (report(Verdict(1), difference=Verdict(1, 1)), "1 sessions of real speech were cut"),
        (report(Verdict(1), calm=Side(outcome(), Verdict(1, 0, 9, doubled=1), [0.1])), "the calm run was not clean"),
    ],
)
def test_what_must_not_be_is_named(broken: Report, words: str) -> None:
    assert any(words in failure for failure in broken.failures)


def test_a_gateways_kill_is_judged_by_its_clients() -> None:
    whole = Heard("one", "1", terminated=True, code=1000)
    usage = Metered(1, 10.0, 10.0, 0, 0.0, 0.0)
    late = GatewayKill([Comeback((whole, whole), 2.5)], Verdict(1), usage)
    assert "came back only after 2.5 s" in gateway_failures(late)[0]
    nobody = GatewayKill([Comeback((whole,))], Verdict(1, 1), Metered(1, 10.0, 4.0, 0, 6.0, 0.0))
    assert len(gateway_failures(nobody)) == 3


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    heard = Heard("one", "1", [Word("a", 0, 9)], [(101.0, 1.0), (112.0, 4.2)], terminated=True, code=1000)
    draw(outcome(heard), outcome(heard), MADE, tmp_path / "chaos.png")
    assert (tmp_path / "chaos.png").stat().st_size > 10_000

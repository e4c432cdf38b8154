"""The plan of cuts is repeatable and fair; the report lists every word that differs and what the cuts cost in time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamingstack_bench.cut_plan import APART_S, Blow, Cut, most_cuts, of_clip, plan_cuts
from streamingstack_bench.cut_report import Compared, CutReport, Outcome, markdown
from streamingstack_bench.report import Machine
from streamingstack_bench.twin_pods import free_ports, triton_argv

DURATIONS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(2, 60), min_size=1, max_size=12)


@given(DURATIONS, st.integers(0, 100), st.data())
def test_cuts_lie_inside_their_recording_and_apart(durations, seed, data):
    count = data.draw(st.integers(1, sum(map(most_cuts, durations.values()))))
    plan = plan_cuts(durations, count, seed)
    assert len(plan) == count
    assert plan == plan_cuts(durations, count, seed)
    for clip, duration in durations.items():
        moments = [cut.at_s for cut in of_clip(plan, clip)]
        assert all(0.1 * duration < at < 0.95 * duration for at in moments)
        assert all(two - one >= APART_S - 0.01 for one, two in pairwise(moments))


@given(DURATIONS, st.integers(0, 100))
def test_every_recording_is_cut_once_before_any_is_cut_twice(durations, seed):
    plan = plan_cuts(durations, len(durations), seed)
    assert {cut.clip for cut in plan} == set(durations)


@given(st.integers(0, 100))
def test_every_blow_comes_as_often_as_the_others(seed):
    plan = plan_cuts({str(n): 10.0 for n in range(40)}, 40, seed)
    assert [sum(cut.blow == blow for cut in plan) for blow in Blow] == [10] * len(Blow)


def test_another_seed_is_another_plan():
    durations = {str(n): 10.0 for n in range(10)}
    assert plan_cuts(durations, 10, 1) != plan_cuts(durations, 10, 2)


def test_more_cuts_than_there_is_room_for_are_an_error_that_says_so():
    with pytest.raises(ValueError, match="--cuts 3: these recordings have room for 2"):
        plan_cuts({"a": 5.0, "b": 5.0}, 3, 1)


def said(text):
    return tuple(text.split())


KILLED, FROZEN = Cut("a.wav", 3.21, Blow.KILL), Cut("b.wav", 4.0, Blow.FREEZE)
REPORT = CutReport(
    speech_model="some-model",
    audio_s=20.0,
    seed=7,
    machine=Machine("a processor", 2, 24.0, 0.5),
    outcomes=[Outcome(KILLED, 0.5), Outcome(FROZEN, 3.5, losses=2)],
    compared=[
        Compared("a.wav", said("one two three four"), said("one two three four"), said("one three four")),
        Compared("b.wav", said("five six ten"), said("five six ten"), said("five sex ten seven")),
        Compared("c.wav", None, said("eight"), said("eight"), fate="broken"),
    ],
    missed=[Cut("c.wav", 1.0, Blow.DRAIN)],
)


def test_words_lost_and_doubled_are_counted_and_words_heard_as_another_are_not():
    assert REPORT.lost_or_doubled == 2


@pytest.mark.parametrize(
    "row",
    [
        "| cuts | 2 |",
        "| by | 1 SIGKILL, 1 SIGSTOP |",
        "| planned, but not made | 1 |",
        "| sessions broken | 1 |",
        "| cuts that lost more than one stream | 1 |",
        "| · SIGSTOP | 3.50 / 3.50 / 3.50 s |",
        "| gap p50 / p95 / longest | 2.00 / 3.35 / 3.50 s |",
        "| words of the uncut run | 8 |",
        "| words inserted / deleted by the cuts | 1 / 1 |",
        "| words heard as another | 1 |",
        "| recordings with the very same words | 1 of 3 |",
        "| a.wav | 3.2 s | SIGKILL | deletion | two |  |",
        "| b.wav | 4.0 s | SIGSTOP | substitution | six | sex |",
        "| b.wav | 4.0 s | SIGSTOP | insertion |  | seven |",
    ],
)
def test_the_report_has_the_row(row):
    assert row in markdown(REPORT).splitlines()


def test_word_error_rates_are_of_the_recordings_with_a_text():
    lines = markdown(REPORT).splitlines()
    assert next(line for line in lines if line.startswith("| WER, uncut")).startswith("| WER, uncut | 0.00%")
    assert next(line for line in lines if line.startswith("| WER, cut")).startswith("| WER, cut | 42.86%")


def test_a_cut_without_a_way_on_is_told_and_has_no_gap():
    stuck = CutReport("m", 1.0, 1, REPORT.machine, [Outcome(KILLED, None)], REPORT.compared)
    assert "| cuts without a way on | 1 |" in markdown(stuck)
    assert "| gap p50 / p95 / longest | – |" in markdown(stuck)


def test_a_twin_of_triton_differs_in_its_ports_only():
    argv = ["tritonserver", "--http-port=1", "--grpc-port=2", "--metrics-port=3", "--http-address=127.0.0.1"]
    ports = {"http": 11, "grpc": 12, "metrics": 13}
    twin = ["tritonserver", "--http-port=11", "--grpc-port=12", "--metrics-port=13", "--http-address=127.0.0.1"]
    assert triton_argv(argv, ports) == twin


def test_free_ports_are_distinct():
    assert len(set(free_ports(20))) == 20

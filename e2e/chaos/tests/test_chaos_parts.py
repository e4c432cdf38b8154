"""Which pod a trouble hits, and when it counts as over."""

from dataclasses import replace

import pytest
from e2e_chaos.parts import Container, Layout, Made, Place, PodView, may
from e2e_chaos.plan import Kind, Part, Trouble

LAYOUT = Layout(
    wanted={"asr/ml-default": 2, "operator": 1},
    places={
        "scripted recogniser": Place("asr/ml-default", "recognizer"),
        "scripted Triton": Place("asr/ml-default", "triton"),
        "operator": Place("operator", "operator"),
    },
    cuttable="node2",
)


def pod(name: str, role: str = "asr/ml-default", *, ready: bool = True, id_: str = "1") -> PodView:
    container = "operator" if role == "operator" else "recognizer"
    return PodView(name, name, "node1", role, ready, False, {container: Container(id_, 0, ready)})


A, B, OPERATOR = pod("a"), pod("b"), pod("o", "operator")


def trouble(kind: Kind, replica: float = 0.0) -> Trouble:
    return Trouble(10.0, "scripted recogniser", kind, replica, 8.0 if kind == "freeze" else 0.0)


@pytest.mark.parametrize(("replica", "name"), [(0.0, "a"), (0.49, "a"), (0.5, "b"), (0.99, "b")])
def test_the_replica_is_chosen_among_those_that_serve_by_name(replica: float, name: str) -> None:
    leaving = replace(pod("aa"), leaving=True)
    assert LAYOUT.victim(trouble("kill", replica), [OPERATOR, B, leaving, A, pod("c", ready=False)]).name == name


def test_a_part_is_whole_with_all_its_replicas_and_a_node_with_all_there_is() -> None:
    assert LAYOUT.is_whole("scripted recogniser", [A, B])
    assert not LAYOUT.is_whole("scripted recogniser", [A, pod("b", ready=False)])
    assert not LAYOUT.is_whole("node", [A, B])
    assert LAYOUT.is_whole("node", [A, B, OPERATOR])


def test_a_killed_container_is_over_when_another_runs_in_its_place() -> None:
    made = Made(trouble("kill"), 10.0, "a", A)
    assert not made.is_over(LAYOUT, [A, B]), "kubelet has not noticed yet"
    assert not made.is_over(LAYOUT, [pod("a", ready=False, id_="2"), B])
    assert made.is_over(LAYOUT, [pod("a", id_="2"), B])


def test_a_deleted_pod_is_over_when_another_serves_while_the_old_one_may_still_end() -> None:
    made = Made(trouble("delete"), 10.0, "a", A)
    assert not made.is_over(LAYOUT, [A, B])
    assert not made.is_over(LAYOUT, [replace(A, leaving=True), B])
    assert made.is_over(LAYOUT, [replace(A, leaving=True), B, pod("c")])


def test_a_frozen_one_is_over_only_after_it_was_thawed() -> None:
    made = Made(trouble("freeze"), 10.0, "a", A)
    assert made.release_at == 18.0
    assert not made.is_over(LAYOUT, [A, B])
    made.released_at = 18.2
    assert made.release_at is None
    assert made.is_over(LAYOUT, [A, B])


def test_a_cut_node_is_over_when_everything_serves_again() -> None:
    made = Made(Trouble(10.0, "node", "cut", 0.0, 20.0), 10.0, "node2", None, released_at=30.0)
    assert not made.is_over(LAYOUT, [A, OPERATOR])
    assert made.is_over(LAYOUT, [A, B, OPERATOR])


@pytest.mark.parametrize(
    ("part", "under_way", "wanted"),
    [
        ("scripted recogniser", [], True),
        ("scripted recogniser", ["operator"], True),
        ("scripted recogniser", ["scripted recogniser"], False),
        ("scripted recogniser", ["scripted Triton"], False),
        ("scripted recogniser", ["node"], False),
        ("node", [], True),
        ("node", ["operator"], False),
    ],
)
def test_no_trouble_takes_a_second_replica_of_what_is_in_trouble(
    part: Part, under_way: list[Part], wanted: bool
) -> None:
    made = [Made(Trouble(1.0, one, "kill", 0.0), 1.0, "x", None) for one in under_way]
    over = Made(Trouble(0.5, part, "kill", 0.0), 0.5, "x", None, whole_at=0.9)
    trouble = Trouble(10.0, part, "kill", 0.0)
    assert may(LAYOUT, trouble, [over, *made], [A, B, OPERATOR]) is wanted
    assert not may(LAYOUT, trouble, [over, *made], [A, OPERATOR])

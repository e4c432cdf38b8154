"""Each condition, for each reason that it may have, and that its message says what to do."""

from typing import Any

import condition_cases_needed
import condition_cases_serving
import pytest
from condition_case import Case
from operator_factories import inputs, model, stack
from stack_model.api.status import ConditionType as Is
from stack_model.api.status import Reason
from status_factories import condition, seen, status, stopped

CASES = [*condition_cases_needed.CASES, *condition_cases_serving.CASES]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_condition_names_what_is_so_where_and_what_to_do(case: Case) -> None:
    found = condition(status(stack(**case.spec), inputs(**case.facts), seen(**case.observed)), case.type)
    assert (found.status, found.reason) == (case.status, case.reason), found.message
    for words in case.says:
        assert words in found.message


def test_every_reason_is_among_the_cases() -> None:
    told_elsewhere = {Reason.INVALID_SPEC}
    assert {case.reason for case in CASES} | told_elsewhere == set(Reason)


@pytest.mark.parametrize(
    ("nodes", "fits"),
    [
        (None, True),
        ((), True),
        (({"nvidia.com/gpu.memory": "15360"},), False),
        # A card of 24 GiB reports a little less.
        (({"nvidia.com/gpu.memory": "23028"},), True),
        (({"nvidia.com/gpu.memory": "15360"}, {"nvidia.com/gpu.memory": "81920"}), True),
        (({"nvidia.com/gpu.memory": "15360", "zone": "a"}, {"nvidia.com/gpu.memory": "81920", "zone": "b"}), False),
        (({"nvidia.com/gpu.memory": "many"},), True),
    ],
)
def test_a_model_does_not_fit_where_every_card_that_its_pods_may_get_is_too_small(nodes: Any, fits: bool) -> None:
    chosen: dict[str, Any] = {
        "gpu": {"minMemoryGiB": 24, "nodeSelector": {"zone": "a"} if nodes and "zone" in nodes[0] else {}}
    }
    waiting = seen(models={"en-default": stopped(("Unschedulable", ""))})
    found = condition(status(stack(models=[model(**chosen)]), inputs(gpu_nodes=nodes), waiting), Is.MODELS_AVAILABLE)
    assert (found.reason is not Reason.MODEL_DOES_NOT_FIT) == fits


def test_a_long_message_of_the_cluster_is_cut_and_the_remedy_stays() -> None:
    waiting = seen(models={"en-default": stopped(("Unschedulable", "node(s) had taints, " * 200))})
    found = condition(status(observed=waiting), Is.MODELS_AVAILABLE)
    assert len(found.message) <= 1024
    assert "add nodes" in found.message

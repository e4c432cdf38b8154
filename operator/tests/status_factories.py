"""A running stack as it is seen, short: what is not said is as it should be."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import operator_factories as given
from stack_model.api import StreamingStack
from stack_model.api.status import Condition, ConditionType, StackStatus
from streaming_operator.facts import Inputs, Observed, PodsFact
from streaming_operator.status import compute_status

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def running(pods: int = 2, **fields: Any) -> PodsFact:
    """A part of which every pod is ready."""
    return replace(PodsFact(desired=pods, ready=pods), **fields)


def stopped(*blocked: tuple[str, str], desired: int = 1) -> PodsFact:
    """A part without a ready pod."""
    return PodsFact(desired=desired, blocked=blocked)


def seen(**fields: Any) -> Observed:
    """A stack with one model, en-default, that serves."""
    usual = Observed(
        gateway=running(),
        license_proxy=running(),
        load_balancer=running(),
        model_store=running(1),
        models={"en-default": running()},
        license_state="Connected",
        usage_backlog=0,
    )
    return replace(usual, **fields)


def status(
    stack: StreamingStack | None = None,
    inputs: Inputs | None = None,
    observed: Observed | None = None,
    previous: StackStatus | None = None,
    now: datetime = NOW,
) -> StackStatus:
    """The status; a stack that serves unless something else is said."""
    return compute_status(stack or given.stack(), inputs or given.inputs(), observed or seen(), previous, now)


def condition(found: StackStatus, type_: ConditionType) -> Condition:
    """One that must be there."""
    got = found.condition(type_)
    assert got is not None
    return got

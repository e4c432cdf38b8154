"""A pod's resources, divided among its two containers. Pure."""

import re
from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal

from lightkube.models.core_v1 import ResourceRequirements
from stack_model.api import Gpu, Resources

# The recogniser hears and keeps books, Triton computes.
_RECOGNISER_SHARE = Decimal("0.25")
_DIVIDED = {
    "cpu": ("m", Decimal("0.001")),
    "memory": ("Mi", Decimal(2**20)),
    "ephemeral-storage": ("Mi", Decimal(2**20)),
}

_QUANTITY = re.compile(r"(?P<number>[0-9.]+([eE][0-9]+)?)(?P<suffix>[A-Za-z]*)")
_SUFFIXES = {
    "": Decimal(1),
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("n", "u", "m"), start=-3)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
    "ki": Decimal(1024),
}


def recogniser_share(resources: Resources) -> ResourceRequirements:
    """A quarter of CPU, memory and scratch space; nothing of what else there is."""
    return ResourceRequirements(
        requests=_divided(resources.requests, _RECOGNISER_SHARE) or None,
        limits=_divided(resources.limits, _RECOGNISER_SHARE) or None,
    )


def triton_share(resources: Resources, gpu: Gpu | None) -> ResourceRequirements:
    """The rest, and the cards."""
    cards = {gpu.resource_name: str(gpu.count)} if gpu else {}
    return ResourceRequirements(
        requests={**_rest(resources.requests), **cards} or None, limits={**_rest(resources.limits), **cards} or None
    )


def _rest(amounts: Mapping[str, str]) -> dict[str, str]:
    undivided = {name: amount for name, amount in amounts.items() if name not in _DIVIDED}
    return {**_divided(amounts, 1 - _RECOGNISER_SHARE), **undivided}


def _divided(amounts: Mapping[str, str], share: Decimal) -> dict[str, str]:
    return {name: _scaled(amount, share, *_DIVIDED[name]) for name, amount in amounts.items() if name in _DIVIDED}


def _scaled(amount: str, share: Decimal, unit: str, size: Decimal) -> str:
    """At least one unit: zero would mean none at all to some and no limit to others."""
    whole = (parse_amount(amount) * share / size).to_integral_value(ROUND_FLOOR)
    return f"{max(int(whole), 1)}{unit}"


def parse_amount(amount: str) -> Decimal:
    """A quantity as the API takes it: a number, perhaps with an exponent, then perhaps a suffix."""
    found = _QUANTITY.fullmatch(amount)
    if found is None:
        raise ValueError(f"{amount!r} is no quantity")
    return Decimal(found["number"]) * _SUFFIXES[found["suffix"]]

"""A case of a condition: what is so, and what the condition says then."""

from dataclasses import dataclass, field
from typing import Any

from operator_factories import model
from stack_model.api.status import ConditionType as Is
from stack_model.api.status import Reason
from streaming_operator.facts import ChildFailure, LicenseFact

GPU = model(gpu={"minMemoryGiB": 24}, autoscaling={"minReplicas": 1, "maxReplicas": 4})
TWO_GPUS = model(gpu={}, autoscaling={"minReplicas": 2, "maxReplicas": 4})
ROUTED = {"expose": {"type": "HTTPRoute", "parentRefs": [{"name": "edge"}]}}
VENDOR = {
    "images": {"flavour": "Vendor", "overrides": {"gateway": "g:1", "licenseProxy": "l:1", "loadBalancer": "b:1"}},
    "models": [{"name": "en-default", "speechModels": ["universal-streaming-english"], "image": "e:1"}],
}


@dataclass(frozen=True)
class Case:
    """What is so, and what becomes of it; `says` are words that the message must have."""

    type: Is
    status: str
    reason: Reason
    says: tuple[str, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    observed: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.type}-{self.reason}"


def failure(reason: Any, kind: str = "Service") -> dict[str, Any]:
    return {"failures": (ChildFailure(kind, "demo-gateway", reason, "the server's own words"),)}


def licensed(state: Any, **fields: Any) -> dict[str, Any]:
    return {"license": LicenseFact(state, **fields)}

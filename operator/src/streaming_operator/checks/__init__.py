"""One chain of named checks for each condition; the first finding of a chain is the condition. Pure."""

from collections.abc import Callable, Mapping

from stack_model.api.status import ConditionType

from streaming_operator.checks.accepted import accepted
from streaming_operator.checks.finding import LONGEST_MESSAGE, Finding, Truth, View
from streaming_operator.checks.gateway import gateway_available
from streaming_operator.checks.license import license_valid
from streaming_operator.checks.models import models_available, phase
from streaming_operator.checks.progress import progressing
from streaming_operator.checks.scaling import scaling_signal

__all__ = ["CHAINS", "LONGEST_MESSAGE", "Finding", "Truth", "View", "phase"]

CHAINS: Mapping[ConditionType, Callable[[View], Finding]] = {
    ConditionType.ACCEPTED: accepted,
    ConditionType.LICENSE_VALID: license_valid,
    ConditionType.MODELS_AVAILABLE: models_available,
    ConditionType.GATEWAY_AVAILABLE: gateway_available,
    ConditionType.SCALING_SIGNAL: scaling_signal,
    ConditionType.PROGRESSING: progressing,
}

"""ScalingSignal: does whoever sizes the stack know its load? Without it, sizes stay as they are. Pure."""

from stack_model.api.status import Reason

from streaming_operator.checks.finding import Check, Finding, View, first, listed, quoted
from streaming_operator.children.optional_apis import SCALED_OBJECT


def scaling_signal(view: View) -> Finding:
    """Fixed sizes need no signal; else the first thing that keeps it away."""
    provider = view.stack.spec.autoscaling.provider
    return first(view, _CHECKS, Finding(Reason.REPORTED, f"{provider} sizes the gateway and the pools", "True"))


def _sizes_are_fixed(view: View) -> Finding | None:
    if view.stack.spec.autoscaling.provider != "None":
        return None
    return Finding(Reason.FIXED_SIZE, "spec.autoscaling.provider is None: sizes are yours to change", "True")


def _vendor_tells_no_load(view: View) -> Finding | None:
    if not view.vendor:
        return None
    return Finding(
        Reason.FIXED_SIZE,
        "the vendor's images export no load that is known: sizes stay at minReplicas and are yours to change",
        "True",
    )


def _keda_is_missing(view: View) -> Finding | None:
    if view.stack.spec.autoscaling.provider != "KEDA":
        return None
    if SCALED_OBJECT not in view.inputs.apis:
        return Finding(
            Reason.API_MISSING,
            "spec.autoscaling.provider is KEDA and this cluster serves no keda.sh/v1alpha1; install KEDA, or use "
            "provider: HPA; until then sizes stay",
        )
    if view.inputs.scaler_address is None:
        return Finding(
            Reason.NO_SIGNAL,
            "the operator knows no external scaler for KEDA; set metricsAdapter.enabled in the chart's values, or "
            "operator.scalerAddress, or use provider: None and kubectl scale; until then sizes stay",
        )
    return None


def _autoscaler_is_blocked(view: View) -> Finding | None:
    blocked = view.observed.scaling_blocked
    if not blocked:
        return None
    names = listed([name for name, _ in blocked])
    return Finding(
        Reason.NO_SIGNAL,
        f"no load reaches the autoscaler of {names} ({quoted(blocked[0][1])}); check that the metrics adapter runs and "
        "that kubectl get apiservice v1beta2.custom.metrics.k8s.io leads to it, or use provider: None and kubectl "
        "scale; until then sizes stay",
    )


_CHECKS: tuple[Check, ...] = (_sizes_are_fixed, _vendor_tells_no_load, _keda_is_missing, _autoscaler_is_blocked)

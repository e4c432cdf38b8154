"""Progressing: what is under way, and what it waits for; False when nothing is. Pure."""

from stack_model.api.status import Reason

from streaming_operator.checks.finding import Check, Finding, View, first, listed
from streaming_operator.checks.models import is_loading, loading, pods_of
from streaming_operator.checks.pods import blocked_by, not_running
from streaming_operator.facts import PodsFact


def progressing(view: View) -> Finding:
    """What would surprise most if it were not said."""
    return first(view, _CHECKS, Finding(Reason.COMPLETE, "everything is as the spec wants it", "False"))


def _is_blocked(view: View) -> Finding | None:
    failures = view.observed.failures
    if not failures:
        return None
    names = listed([f"{failure.kind} {failure.name}" for failure in failures])
    return Finding(Reason.BLOCKED, f"{names} cannot be applied; see Accepted", "False")


def _gateway_waits_for_drain(view: View) -> Finding | None:
    pods, most = view.observed.gateway, view.stack.spec.gateway.max_draining_pods
    if not view.observed.gateway_held:
        return None
    return Finding(
        Reason.WAITING_FOR_DRAIN,
        f"the gateway's rollout waits: {pods.draining} pods still drain, {most} may "
        "(spec.gateway.maxDrainingPods); each ends with its sessions, after "
        f"{view.stack.spec.gateway.max_session_seconds} s at most",
        "True",
    )


def _model_is_loading(view: View) -> Finding | None:
    waiting = [model for model in view.stack.spec.models if is_loading(pods_of(view, model))]
    if not waiting:
        return None
    found = loading(view, waiting[0])
    return Finding(found.reason, found.message, "True")


def _parts(view: View) -> list[tuple[str, PodsFact]]:
    observed = view.observed
    parts = [
        ("gateway", observed.gateway),
        ("licence proxies", observed.license_proxy),
        ("load balancer", observed.load_balancer),
        ("model store", observed.model_store),
    ]
    if view.stack.spec.sync_api.enabled:
        parts.append(("sync API", observed.sync_api))
    return parts + [(f"model {model.name}", pods_of(view, model)) for model in view.stack.spec.models]


def _is_rolling_out(view: View) -> Finding | None:
    moving = [name for name, pods in _parts(view) if _moves(pods)]
    if not moving:
        return None
    return Finding(Reason.ROLLING_OUT, f"pods are being started or replaced: {listed(moving)}", "True")


def _moves(pods: PodsFact) -> bool:
    """On its way: not there yet, and nothing known that would keep it from getting there."""
    arriving = not pods.rolled or pods.ready < pods.desired
    return arriving and blocked_by(pods)[0] in (Reason.NOT_READY, Reason.LOADING_MODEL)


def _pods_are_stuck(view: View) -> Finding | None:
    stuck = [(name, pods) for name, pods in _parts(view) if not pods.rolled or pods.ready < pods.desired]
    if not stuck:
        return None
    found = not_running(*stuck[0])
    others = f"; so is it with {listed([name for name, _ in stuck[1:]])}" if stuck[1:] else ""
    return Finding(found.reason, f"pods cannot be started: {found.message}{others}; what runs goes on", "False")


def _model_drains(view: View) -> Finding | None:
    if not view.inputs.leaving:
        return None
    names = listed([model.name for model in view.inputs.leaving])
    return Finding(
        Reason.DRAINING_MODEL,
        f"removed from the spec and kept until the last stream ends, {view.stack.spec.gateway.max_session_seconds} s "
        f"at most: {names}",
        "True",
    )


def _usage_is_undelivered(view: View) -> Finding | None:
    wanted, kept = view.stack.spec.license_proxy.replicas, view.inputs.undelivered_proxies
    if kept <= wanted:
        return None
    return Finding(
        Reason.USAGE_UNDELIVERED,
        f"{kept} licence proxies stay though spec.licenseProxy.replicas is {wanted}: the last of them holds usage that "
        "is not delivered, or does not answer; see that its pod runs, and check spec.licenseProxy.usage.endpoint and "
        "spec.networkIsolation.egressCidrs",
        "True",
    )


_CHECKS: tuple[Check, ...] = (
    _is_blocked,
    _gateway_waits_for_drain,
    _usage_is_undelivered,
    _model_is_loading,
    _is_rolling_out,
    _pods_are_stuck,
    _model_drains,
)

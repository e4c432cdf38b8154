"""GatewayAvailable: can a client open a session? Pure."""

from stack_model.api.status import Reason

from streaming_operator.checks.finding import Check, Finding, View, first, quoted
from streaming_operator.checks.pods import blocked_by, not_running
from streaming_operator.checks.storage import class_missing


def gateway_available(view: View) -> Finding:
    """From the client inwards: the gateway, what it asks for leave, what it sends audio to, the way in."""
    pods = view.observed.gateway
    said = f"{pods.ready} of {pods.desired} gateway pods take sessions"
    return first(view, _CHECKS, Finding(Reason.AVAILABLE, said, "True"))


def _gateway_runs(view: View) -> Finding | None:
    pods = view.observed.gateway
    if pods.ready:
        return None
    # A gateway is ready only once a licence proxy has told it the licence's state: look there first.
    waits = blocked_by(pods)[0] is Reason.NOT_READY and not view.vendor
    return (_license_proxy_runs(view) if waits else None) or not_running("gateway", pods)


def _license_proxy_has_volumes(view: View) -> Finding | None:
    if view.vendor or view.observed.license_proxy.ready:
        return None
    missing = class_missing(view, view.stack.spec.license_proxy.storage, "spec.licenseProxy.storage")
    if missing is None:
        return None
    return Finding(
        Reason.STORAGE_CLASS_MISSING, f"the licence proxies have no volumes for undelivered usage: {missing}"
    )


def _license_proxy_runs(view: View) -> Finding | None:
    proxies = view.observed.license_proxy
    return None if proxies.ready else not_running("licence proxies", proxies, Reason.LICENSE_PROXY_UNAVAILABLE)


def _load_balancer_runs(view: View) -> Finding | None:
    balancers = view.observed.load_balancer
    return None if balancers.ready else not_running("load balancer", balancers, Reason.LOAD_BALANCER_UNAVAILABLE)


def _route_is_accepted(view: View) -> Finding | None:
    expose, route = view.stack.spec.gateway.expose, view.observed.route_accepted
    if expose.type == "None" or (route is not None and route[0]):
        return None
    if route is not None:
        return Finding(
            Reason.ROUTE_NOT_ACCEPTED,
            f"the {expose.type} is not accepted ({quoted(route[1])}); see spec.gateway.expose",
        )
    if expose.type == "Ingress":
        # Nobody says whether an Ingress was taken in.
        return None
    parents = ", ".join(parent.name for parent in expose.parent_refs)
    return Finding(
        Reason.ROUTE_NOT_ACCEPTED,
        f"no controller has answered for the HTTPRoute yet; check that Gateway {parents} is there, that its class has "
        "a controller, and that its listeners allow routes from this namespace",
    )


_CHECKS: tuple[Check, ...] = (
    # Never comes by itself: before a gateway that may only take its time.
    _license_proxy_has_volumes,
    _gateway_runs,
    _license_proxy_runs,
    _load_balancer_runs,
    _route_is_accepted,
)

"""Accepted: can what the spec asks for be carried out here? Pure."""

from collections.abc import Mapping

from stack_model.api.status import Reason

from streaming_operator.checks.finding import Check, Finding, View, first, listed, quoted
from streaming_operator.children.optional_apis import HTTP_ROUTE
from streaming_operator.facts import ChildFailure
from streaming_operator.references import license_references, other_references

# What each kind of failure of a child is called in a condition.
REASONS: Mapping[str, Reason] = {
    "NameConflict": Reason.NAME_CONFLICT,
    "Immutable": Reason.IMMUTABLE_FIELD,
    "ApiMissing": Reason.API_MISSING,
    "Quota": Reason.QUOTA_EXCEEDED,
    "Refused": Reason.CHILD_REFUSED,
}


def accepted(view: View) -> Finding:
    """The first thing that the cluster does not let us do."""
    return first(view, _CHECKS, Finding(Reason.ACCEPTED, "the spec is valid and can be carried out here", "True"))


def _name_is_taken(view: View) -> Finding | None:
    return _failed(
        view,
        "NameConflict",
        "belong to somebody else and are left alone; remove or rename them, or give the stack another name",
    )


def _field_is_immutable(view: View) -> Finding | None:
    return _failed(
        view,
        "Immutable",
        "have a field that cannot be changed while they exist; take the change back, or delete them yourself when "
        "their sessions may end: they are made anew",
    )


def _api_is_missing(view: View) -> Finding | None:
    if view.stack.spec.gateway.expose.type == "HTTPRoute" and HTTP_ROUTE not in view.inputs.apis:
        return Finding(
            Reason.API_MISSING,
            "spec.gateway.expose.type is HTTPRoute and this cluster serves no gateway.networking.k8s.io/v1; install "
            "Gateway API and a controller for it, or use type: Ingress",
        )
    return _failed(
        view,
        "ApiMissing",
        "are of a kind that this cluster does not serve; install it, or turn off what asks for it",
    )


def _quota_is_exceeded(view: View) -> Finding | None:
    return _failed(
        view,
        "Quota",
        "are more than the namespace may hold; raise its ResourceQuota, or ask for less",
    )


def _child_is_refused(view: View) -> Finding | None:
    return _failed(
        view,
        "Refused",
        "were refused by the API server or by a policy of the cluster; change what it names, or allow it",
    )


def _reference_is_missing(view: View) -> Finding | None:
    """The licence has a condition of its own, so its Secret is none of this."""
    lost = sorted(reference for reference in view.inputs.missing if not _is_license(view, reference))
    if not lost:
        return None
    fields = {reference.id: reference.field for reference in other_references(view.stack)}
    said = [_with_field(reference, fields) for reference in lost]
    return Finding(
        Reason.MISSING_REFERENCE,
        f"not found in namespace {view.namespace}: {listed(said)}; create it, or fix the field",
    )


def _is_license(view: View, reference: str) -> bool:
    return _id(reference) in {license_.id for license_ in license_references(view.stack)}


def _with_field(reference: str, fields: Mapping[str, str]) -> str:
    field = fields.get(_id(reference))
    return f"{reference} ({field})" if field else reference


def _id(reference: str) -> str:
    """Without the key."""
    return reference.partition("[")[0]


def _failed(view: View, kind: str, remedy: str) -> Finding | None:
    failures = [failure for failure in view.observed.failures if failure.reason == kind]
    if not failures:
        return None
    return Finding(REASONS[kind], f"{listed([_named(f) for f in failures])} {remedy} ({quoted(failures[0].message)})")


def _named(failure: ChildFailure) -> str:
    return f"{failure.kind} {failure.name}"


_CHECKS: tuple[Check, ...] = (
    _name_is_taken,
    _field_is_immutable,
    _api_is_missing,
    _quota_is_exceeded,
    _child_is_refused,
    _reference_is_missing,
)

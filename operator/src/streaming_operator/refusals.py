"""From the API server's refusal of a child to what is told of it: the reason, and a message with the remedy. Pure."""

import re

from streaming_operator.api_errors import ApiRefusal
from streaming_operator.facts import ChildFailure
from streaming_operator.kinds import Kind

_IMMUTABLE = re.compile(
    r"field is immutable|is immutable after creation|immutable|updates to statefulset spec for fields other than"
    r"|may not change once set|may not be changed",
    re.IGNORECASE,
)
_LONGEST = 400


def child_failure(kind: Kind, namespace: str, name: str, refusal: ApiRefusal) -> ChildFailure | None:
    """What to report; None where the refusal is about this moment and trying again is the answer."""
    if _is_of_the_moment(refusal):
        return None
    text = _short(refusal)
    if refusal.code == 403 and "exceeded quota" in refusal.message:
        return ChildFailure(
            kind.name, name, "Quota", f"{text}; raise the quota of namespace {namespace}, or ask for less"
        )
    if refusal.code == 404:
        return ChildFailure(
            kind.name,
            name,
            "ApiMissing",
            f"the cluster does not serve {kind.id}; install it, or turn off what needs it",
        )
    if refusal.code == 422 and _IMMUTABLE.search(text):
        return ChildFailure(kind.name, name, "Immutable", f"{text}; {_immutable_remedy(kind, namespace, name)}")
    if refusal.code == 403 and refusal.reason == "Forbidden" and "cannot" in refusal.message:
        remedy = "grant it (RBAC of the chart), or remove what denies it"
        return ChildFailure(kind.name, name, "Refused", f"{text}; {remedy}")
    return ChildFailure(kind.name, name, "Refused", text)


def name_conflict(kind: Kind, namespace: str, name: str) -> ChildFailure:
    """An object of the same name is somebody else's."""
    message = (
        f"{kind.name} {namespace}/{name} exists and does not belong to this stack; it is left untouched: "
        "delete or rename it, or give the stack another name"
    )
    return ChildFailure(kind.name, name, "NameConflict", message)


def _is_of_the_moment(refusal: ApiRefusal) -> bool:
    terminating = refusal.code == 403 and "being terminated" in refusal.message
    return terminating or refusal.code in (0, 401, 408, 409, 410, 429) or refusal.code >= 500


def _immutable_remedy(kind: Kind, namespace: str, name: str) -> str:
    plural = kind.plural if not kind.group else f"{kind.plural}.{kind.group}"
    delete = f"kubectl -n {namespace} delete {plural} {name}"
    if kind.name == "PersistentVolumeClaim":
        return f"set the old value again, or, as its data may go, delete it yourself: {delete}"
    if kind.name in ("StatefulSet", "Deployment"):
        return f"set the old value again, or let it be made anew with its pods left running: {delete} --cascade=orphan"
    return f"set the old value again, or let it be made anew: {delete}"


def _short(refusal: ApiRefusal) -> str:
    told = "; ".join(f"{cause.field}: {cause.message}" for cause in refusal.causes if cause.message) or refusal.message
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}..."

"""May this user read that? Asked of the API server (SubjectAccessReview), and remembered for a short time."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from streaming_operator.api_server import ApiServer
from streaming_operator.kinds import Kind

from metrics_adapter.answers import GROUP, VERSION
from metrics_adapter.front_proxy import User

# A right that was taken away works for so long still, and one that was granted is refused for so long.
ALLOWED_SECONDS = 10.0
DENIED_SECONDS = 10.0
_MOST = 4096
REVIEW = Kind("authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews")


@dataclass(frozen=True)
class Access:
    """One metric of one pod, or of all pods (`*`), of a namespace."""

    namespace: str
    pod: str
    metric: str


class _Verdict(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Verdict = msgspec.field(default_factory=_Verdict)


class Authorizer:
    """Keeps the last verdicts; `clock` is monotonic."""

    def __init__(self, api: ApiServer, clock: Callable[[], float]) -> None:
        self._api = api
        self._clock = clock
        self._verdicts: OrderedDict[tuple[User, Access], tuple[bool, float]] = OrderedDict()

    async def allows(self, user: User, access: Access) -> bool:
        """Whether RBAC, or whatever else the cluster has, lets the user. Raises ApiRefusal, ApiUnreachable."""
        asked = (user, access)
        known = self._verdicts.get(asked)
        if known is not None and self._clock() < known[1]:
            return known[0]
        answer = await self._api.create(REVIEW, "", msgspec.json.encode(_question(user, access)))
        allowed = msgspec.json.decode(answer, type=_Review).status.allowed
        self._verdicts[asked] = allowed, self._clock() + (ALLOWED_SECONDS if allowed else DENIED_SECONDS)
        self._verdicts.move_to_end(asked)
        while len(self._verdicts) > _MOST:
            self._verdicts.popitem(last=False)
        return allowed


def _question(user: User, access: Access) -> dict[str, Any]:
    # As the API server itself sees the request: a metric is a subresource.
    attributes = {
        "verb": "get",
        "group": GROUP,
        "version": VERSION,
        "namespace": access.namespace,
        "resource": "pods",
        "subresource": access.metric,
        "name": access.pod,
    }
    spec: dict[str, Any] = {"user": user.name, "groups": list(user.groups), "resourceAttributes": attributes}
    if user.uid:
        spec["uid"] = user.uid
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra}
    return {"apiVersion": REVIEW.api_version, "kind": REVIEW.name, "spec": spec}

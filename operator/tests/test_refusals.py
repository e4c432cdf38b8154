import pytest
from streaming_operator.api_errors import ApiRefusal, Cause
from streaming_operator.kinds import DEPLOYMENT, STATEFUL_SET, child_kind
from streaming_operator.refusals import child_failure, name_conflict

CLAIM = child_kind("v1", "PersistentVolumeClaim")
MONITOR = child_kind("monitoring.coreos.com/v1", "PodMonitor")


@pytest.mark.parametrize(
    ("kind", "refusal", "reason", "told"),
    [
        (
            DEPLOYMENT,
            ApiRefusal(422, "Invalid", "...", (Cause("spec.selector", "Invalid value: {...}: field is immutable"),)),
            "Immutable",
            "kubectl -n speech delete deployments.apps x --cascade=orphan",
        ),
        (
            STATEFUL_SET,
            ApiRefusal(
                422, "Invalid", "", (Cause("spec", "Forbidden: updates to statefulset spec for fields other than ..."),)
            ),
            "Immutable",
            "--cascade=orphan",
        ),
        (
            CLAIM,
            ApiRefusal(422, "Invalid", "spec is immutable after creation except resources.requests"),
            "Immutable",
            "as its data may go",
        ),
        (DEPLOYMENT, ApiRefusal(422, "Invalid", "spec.replicas: must be positive"), "Refused", "must be positive"),
        (
            DEPLOYMENT,
            ApiRefusal(403, "Forbidden", "exceeded quota: small, requested: pods=1"),
            "Quota",
            "raise the quota",
        ),
        (
            MONITOR,
            ApiRefusal(404, "NotFound", "the server could not find the requested resource"),
            "ApiMissing",
            MONITOR.id,
        ),
        (DEPLOYMENT, ApiRefusal(403, "Forbidden", 'User "x" cannot patch resource "deployments"'), "Refused", "RBAC"),
        (DEPLOYMENT, ApiRefusal(400, "BadRequest", "admission webhook denied the request: no"), "Refused", "denied"),
    ],
)
def test_a_refusal_is_reported_with_its_remedy(kind: object, refusal: ApiRefusal, reason: str, told: str) -> None:
    failure = child_failure(kind, "speech", "x", refusal)  # type: ignore[arg-type]
    assert failure is not None
    assert (failure.reason, failure.name) == (reason, "x")
    assert told in failure.message


@pytest.mark.parametrize(
    "refusal",
    [
        ApiRefusal(409, "Conflict", "the UID in the precondition does not match"),
        ApiRefusal(429, "TooManyRequests", ""),
        ApiRefusal(500, "InternalError", "etcd"),
        ApiRefusal(503, "", "no healthy upstream"),
        ApiRefusal(403, "Forbidden", "unable to create new content in namespace x because it is being terminated"),
    ],
)
def test_what_is_of_the_moment_is_tried_again_and_not_reported(refusal: ApiRefusal) -> None:
    assert child_failure(DEPLOYMENT, "speech", "x", refusal) is None


def test_a_name_that_is_taken_is_told_with_what_to_do() -> None:
    failure = name_conflict(DEPLOYMENT, "speech", "demo-gateway")
    assert failure.reason == "NameConflict"
    assert "Deployment speech/demo-gateway" in failure.message
    assert "delete or rename it" in failure.message

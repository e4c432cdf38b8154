"""Why the pods of a part do not run: from the cluster's many words to our few, each with its remedy. Pure."""

from collections.abc import Mapping

from stack_model.api.status import Reason

from streaming_operator.checks.finding import Finding, quoted
from streaming_operator.facts import PodsFact

# What Kubernetes, and whoever observes pods, may call it.
_CALLED: Mapping[str, Reason] = {
    "ErrImagePull": Reason.IMAGE_UNAVAILABLE,
    "ImagePullBackOff": Reason.IMAGE_UNAVAILABLE,
    "ErrImageNeverPull": Reason.IMAGE_UNAVAILABLE,
    "InvalidImageName": Reason.IMAGE_UNAVAILABLE,
    "ImageInspectError": Reason.IMAGE_UNAVAILABLE,
    "RegistryUnavailable": Reason.IMAGE_UNAVAILABLE,
    "Unschedulable": Reason.UNSCHEDULABLE,
    "SchedulerError": Reason.UNSCHEDULABLE,
    "FailedCreate": Reason.QUOTA_EXCEEDED,
    "Quota": Reason.QUOTA_EXCEEDED,
    "QuotaExceeded": Reason.QUOTA_EXCEEDED,
    "CrashLoopBackOff": Reason.CRASH_LOOPING,
    "RunContainerError": Reason.CRASH_LOOPING,
    "CreateContainerError": Reason.CRASH_LOOPING,
    "CreateContainerConfigError": Reason.CRASH_LOOPING,
    "OOMKilled": Reason.CRASH_LOOPING,
    "StorageClassMissing": Reason.STORAGE_CLASS_MISSING,
    "ModelDoesNotFit": Reason.MODEL_DOES_NOT_FIT,
    "FetchFailed": Reason.FETCH_FAILED,
    "LoadingModel": Reason.LOADING_MODEL,
    "FetchingModel": Reason.LOADING_MODEL,
}
# What needs a hand before what needs time: a pool may hold pods of both.
_ORDER = (
    Reason.MODEL_DOES_NOT_FIT,
    Reason.IMAGE_UNAVAILABLE,
    Reason.QUOTA_EXCEEDED,
    Reason.STORAGE_CLASS_MISSING,
    Reason.FETCH_FAILED,
    Reason.UNSCHEDULABLE,
    Reason.CRASH_LOOPING,
    Reason.LOADING_MODEL,
    Reason.NOT_READY,
)
_SAYS: Mapping[Reason, tuple[str, str]] = {
    Reason.MODEL_DOES_NOT_FIT: (
        "no card is large enough",
        "use nodes with a larger GPU and name them in gpu.nodeSelector, or lower gpu.minMemoryGiB if the model is "
        "smaller than it says",
    ),
    Reason.IMAGE_UNAVAILABLE: (
        "an image cannot be pulled",
        "check spec.images (registry, overrides, tag) and that a Secret of spec.images.pullSecrets is valid: tokens "
        "of registries expire",
    ),
    Reason.QUOTA_EXCEEDED: (
        "pods are not admitted",
        "raise the ResourceQuota or LimitRange of the namespace, or ask for less in resources",
    ),
    Reason.STORAGE_CLASS_MISSING: (
        "a volume has no StorageClass",
        "mark a StorageClass as the default one, or name one in storage.storageClassName",
    ),
    Reason.FETCH_FAILED: (
        "the model cannot be fetched",
        "check the model's source or files, spec.modelStore.credentialsSecretName and "
        "spec.networkIsolation.egressCidrs; fetching is tried again by itself",
    ),
    Reason.UNSCHEDULABLE: (
        "no node takes a pod",
        "add nodes, free resources, or change nodeSelector, tolerations and resources; a volume that is not bound is "
        "told by kubectl describe pvc",
    ),
    Reason.CRASH_LOOPING: (
        "a container ends again and again",
        "its last log line says why: kubectl logs --previous",
    ),
    Reason.LOADING_MODEL: ("the model is being loaded", "nothing is wrong yet: wait"),
    Reason.NOT_READY: ("no pod is ready", "kubectl describe pods says what they wait for"),
}


def blocked_by(pods: PodsFact) -> tuple[Reason, str]:
    """The weightiest reason why pods do not run, and the cluster's words for it; NotReady where nothing is known."""
    known = [(_CALLED.get(called, Reason.NOT_READY), f"{called}: {words}") for called, words in pods.blocked]
    return min(known, key=lambda found: _ORDER.index(found[0]), default=(Reason.NOT_READY, ""))


def not_running(what: str, pods: PodsFact, reason: Reason | None = None) -> Finding:
    """`what` has no ready pod; `reason` stands in for the pods' own where the condition has its own word."""
    cause, words = blocked_by(pods)
    says, remedy = _SAYS[cause]
    detail = f" ({quoted(words)})" if words else ""
    return Finding(reason or cause, f"{what}: {says}{detail}; {remedy}")

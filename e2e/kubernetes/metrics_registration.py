"""The one registration of the custom metrics API that a cluster can have, and what tests do where somebody has it."""

from typing import Any, NoReturn

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from live_namespace import LiveNamespace, until

REGISTRATION = "v1beta2.custom.metrics.k8s.io"
# A release that was uninstalled just now still takes its registration back.
_WITHDRAWN_SECONDS = 60.0


def registration(space: LiveNamespace) -> Any:
    """The APIService; None where there is none."""
    try:
        return client.ApiregistrationV1Api(space.api).read_api_service(REGISTRATION)
    except ApiException as refused:
        if refused.status == 404:
            return None
        raise


def await_free(space: LiveNamespace) -> None:
    """Return once nobody has it; where somebody keeps it the test ends."""
    try:
        until("nobody serves custom metrics", lambda: registration(space) is None, _WITHDRAWN_SECONDS)
    except AssertionError:
        holder = registration(space)
        if holder is not None:
            give_way(space.door.cluster, holder)


def give_way(cluster: str, holder: Any) -> NoReturn:
    """A cluster of somebody's own may have its own adapter; on a local one only a test can have left it there."""
    service = holder.spec.service
    who = f"{service.namespace}/{service.name}" if service else "the API server itself"
    if cluster == "local":
        pytest.fail(f"{who} serves {REGISTRATION} and does not let go", pytrace=False)
    pytest.skip(f"not run: {who} serves {REGISTRATION} here already")

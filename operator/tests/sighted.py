"""Objects as the API server shows them, for tests: what is not said is as usual."""

import json
from typing import Any

from streaming_operator import names
from streaming_operator.kinds import DEPLOYMENT, POD, Kind
from streaming_operator.seen import Seen, seen

UID = "11111111-1111-1111-1111-111111111111"


def body(
    kind: Kind, name: str, component: str = names.GATEWAY, model: str | None = None, **parts: Any
) -> dict[str, Any]:
    """An object of the stack `demo`; `metadata` is merged into the usual one."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "speech",
        "uid": f"{name}-uid",
        "resourceVersion": "5",
        "labels": names.labels("demo", component, model),
        "ownerReferences": [
            {"kind": "StreamingStack", "name": "demo", "uid": UID, "apiVersion": "streamingstack.dev/v1alpha1"}
        ],
        "creationTimestamp": "2026-01-02T03:04:05Z",
    }
    metadata |= parts.pop("metadata", {})
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **parts}


def sight(kind: Kind, *arguments: Any, **parts: Any) -> Seen:
    """What is kept of such an object."""
    return seen(kind, json.dumps(body(kind, *arguments, **parts)).encode())[1]


def deployment(name: str = "demo-gateway", *arguments: Any, **parts: Any) -> Seen:
    """A Deployment of two pods, all there, unless told."""
    usual = {
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 1, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2},
        "metadata": {"generation": 1},
    }
    return sight(DEPLOYMENT, name, *arguments, **(usual | parts))


def pod(
    name: str, component: str = names.GATEWAY, model: str | None = None, *, ready: bool = True, **parts: Any
) -> Seen:
    """A running pod."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status = {"phase": "Running", "podIP": "198.18.20.9", "conditions": conditions} | parts.pop("status", {})
    return sight(POD, name, component, model, status=status, **parts)

"""The bodies of what is written: children with their owner, status, events, Secrets that are made once. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.kinds import STACK, Key

# Of the Secret that holds the first API key in clear.
FIRST_KEY = "api-key"


@dataclass(frozen=True)
class Owner:
    """The stack whose children are written."""

    key: Key
    uid: str

    def reference(self) -> dict[str, Any]:
        """The entry of ownerReferences. It blocks no deletion of the stack."""
        return {
            "apiVersion": STACK.api_version,
            "kind": STACK.name,
            "name": self.key.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }


def digest(child: Child) -> bytes:
    """Of what is wanted: equal for equal objects."""
    return blake2b(msgspec.json.encode(child.manifest(), order="sorted"), digest_size=8).digest()


def child_manifest(owner: Owner, child: Child, uid: str | None) -> dict[str, Any]:
    """The whole apply; with the uid of what is there, so that it never lands on something else of the same name."""
    manifest = child.manifest()
    metadata = {**manifest["metadata"], "namespace": owner.key.namespace, "ownerReferences": [owner.reference()]}
    if uid is not None:
        metadata["uid"] = uid
    return {**manifest, "metadata": metadata}


def with_size(manifest: Mapping[str, Any], replicas: int) -> dict[str, Any]:
    """The same with its size."""
    return {**manifest, "spec": {**manifest["spec"], "replicas": replicas}}


def status_manifest(owner: Owner, status: Mapping[str, Any]) -> dict[str, Any]:
    """The stack's status, of this very stack and no later one of its name."""
    return {
        "apiVersion": STACK.api_version,
        "kind": STACK.name,
        "metadata": {"name": owner.key.name, "namespace": owner.key.namespace, "uid": owner.uid},
        "status": status,
    }


def made_secret(owner: Owner, name: str, entry: str, text: str) -> dict[str, Any]:
    """A Secret that is made once and no child: nobody knows its content again who would apply it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": names.labels(owner.key.name, names.GATEWAY),
            "ownerReferences": [owner.reference()],
        },
        "stringData": {entry: text},
    }


def event(owner: Owner, instance: str, now: datetime, *, warning: bool, reason: str, message: str) -> dict[str, Any]:
    """A core/v1 Event on the stack; `now` is aware."""
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{owner.key.name}.", "namespace": owner.key.namespace},
        "involvedObject": {
            "apiVersion": STACK.api_version,
            "kind": STACK.name,
            "name": owner.key.name,
            "namespace": owner.key.namespace,
            "uid": owner.uid,
        },
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "message": message[:1024],
        "source": {"component": names.FIELD_MANAGER},
        "reportingComponent": names.FIELD_MANAGER,
        "reportingInstance": instance,
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }

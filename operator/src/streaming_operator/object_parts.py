"""Objects as the API server sends them: the parts that all kinds have. Pure."""

from typing import TypeVar

import msgspec


class Owner(msgspec.Struct, frozen=True):
    """An entry of metadata.ownerReferences."""

    uid: str
    kind: str = ""
    name: str = ""


class ManagedFields(msgspec.Struct, rename="camel"):
    """An entry of metadata.managedFields; `fields_v1` undecoded."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: msgspec.Raw = msgspec.Raw(b"null")


class Metadata(msgspec.Struct, rename="camel"):
    """The metadata that decides anything."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[Owner] | None = None
    managed_fields: list[ManagedFields] | None = None


class Whole(msgspec.Struct):
    """Any object; `spec` and `status` undecoded."""

    metadata: Metadata
    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")


class Condition(msgspec.Struct):
    """An entry of status.conditions, of any kind."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


T = TypeVar("T")


def part(body: msgspec.Raw, kind: type[T], empty: T) -> T:
    """`body` as `kind`; `empty` where it is not there. Raises msgspec.DecodeError."""
    return empty if bytes(body) == b"null" else msgspec.json.decode(body, type=kind)

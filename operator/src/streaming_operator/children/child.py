"""What builders hand to whoever applies it."""

from dataclasses import dataclass
from typing import Any

from lightkube.core.resource import NamespacedResource


@dataclass(frozen=True)
class Child:
    """One object that a stack needs, without namespace and owner: both are added where it is applied.

    `replicas` is the size of a workload that an autoscaler may size: a wish for its creation, handed to a field manager
    of its own and never repeated. None where there is nothing to size, or where the size is part of the object.
    """

    object: NamespacedResource
    replicas: int | None = None

    @property
    def kind(self) -> str:
        """The object's kind, as in YAML."""
        return str(self.object._api_info.resource.kind)

    @property
    def api_version(self) -> str:
        """`group/version`, or `version` of the core group."""
        return str(self.object._api_info.resource.api_version)

    @property
    def name(self) -> str:
        """metadata.name."""
        metadata: Any = getattr(self.object, "metadata")  # noqa: B009 - generic objects have it too, untyped
        name: str = metadata.name
        return name

    def manifest(self) -> dict[str, Any]:
        """The object as it is written in YAML, and as it is applied but for namespace and owner."""
        body: dict[str, Any] = self.object.to_dict()  # type: ignore[attr-defined]
        return {"apiVersion": self.api_version, "kind": self.kind, **body}

"""From a StreamingStack to every object that it needs. Pure, total and deterministic: no client, no clock, no kopf."""

from streaming_operator.children.child import Child

__all__ = ["Child"]

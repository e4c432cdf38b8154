"""What StreamingStacks say of the room to keep free and of the load that a pod should carry. Pure."""

import msgspec
from stack_model.api import GatewayAutoscaling, GatewaySessions, PoolAutoscaling, Streams
from streaming_operator import names
from streaming_operator.kinds import Key, Kind
from streaming_operator.seen import Metadata

from metrics_adapter.pods import Group


# The API server fills in the definition's defaults; ours are for a stack from before a field was there.
class _GatewayBounds(msgspec.Struct, rename="camel"):
    headroom_sessions: int = GatewayAutoscaling().headroom_sessions


class _Sessions(msgspec.Struct, rename="camel"):
    target_per_pod: int = GatewaySessions().target_per_pod


class _Gateway(msgspec.Struct):
    autoscaling: _GatewayBounds = msgspec.field(default_factory=_GatewayBounds)
    sessions: _Sessions = msgspec.field(default_factory=_Sessions)


class _PoolBounds(msgspec.Struct, rename="camel"):
    headroom_streams: int = PoolAutoscaling().headroom_streams


class _Streams(msgspec.Struct, rename="camel"):
    target_per_pod: int = Streams().target_per_pod


class _Model(msgspec.Struct):
    name: str
    autoscaling: _PoolBounds = msgspec.field(default_factory=_PoolBounds)
    streams: _Streams = msgspec.field(default_factory=_Streams)


class _Spec(msgspec.Struct):
    gateway: _Gateway = msgspec.field(default_factory=_Gateway)
    models: list[_Model] = msgspec.field(default_factory=list)


class _Whole(msgspec.Struct):
    metadata: Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)


class Aim(msgspec.Struct, frozen=True):
    """Of one Deployment: sessions or streams to keep free over all its pods, and how many each pod should carry."""

    headroom: int
    target: int


class Stack(msgspec.Struct, frozen=True):
    """The aims of one stack; those of its pools by the model's name."""

    uid: str
    version: str
    gateway: Aim
    pools: dict[str, Aim]


_whole = msgspec.json.Decoder(_Whole)


def read_stack(_: Kind, body: bytes | msgspec.Raw) -> tuple[Metadata, Stack]:
    """What is kept of a StreamingStack. Raises msgspec.DecodeError."""
    whole = _whole.decode(body)
    gateway = whole.spec.gateway
    return whole.metadata, Stack(
        uid=whole.metadata.uid,
        version=whole.metadata.resource_version,
        gateway=Aim(gateway.autoscaling.headroom_sessions, gateway.sessions.target_per_pod),
        pools={
            model.name: Aim(model.autoscaling.headroom_streams, model.streams.target_per_pod)
            for model in whole.spec.models
        },
    )


class Stacks:
    """Every StreamingStack that is there: a sink of watches."""

    def __init__(self) -> None:
        self._stacks: dict[Key, Stack] = {}

    def sighted(self, _: Kind, metadata: Metadata, stack: Stack) -> None:
        """A stack is there, as listed or changed."""
        self._stacks[Key(metadata.namespace, metadata.name)] = stack

    def gone(self, _: Kind, metadata: Metadata, uid: str) -> None:
        """A stack was deleted; nothing where another of its name has taken its place."""
        key = Key(metadata.namespace, metadata.name)
        if key in self._stacks and self._stacks[key].uid == uid:
            del self._stacks[key]

    def listed(self, _: Kind, namespace: str | None, uids: set[str]) -> None:
        """A list is complete: what it does not have is gone, though no event said so."""
        for key, stack in list(self._stacks.items()):
            if namespace in (None, key.namespace) and stack.uid not in uids:
                del self._stacks[key]

    def aim(self, group: Group) -> Aim | None:
        """Of one Deployment; None where the stack is gone, or the model is no longer in it: such pods are to leave."""
        stack = self._stacks.get(group.stack)
        if stack is None:
            return None
        return stack.gateway if group.component == names.GATEWAY else stack.pools.get(group.pool)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._stacks)

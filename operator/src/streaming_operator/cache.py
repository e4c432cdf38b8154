"""Every child and pod of every stack, as watches show them. Pure: told what was seen, it says what changed."""

from collections.abc import Iterator
from enum import Enum

from streaming_operator.kinds import POD, Key, Kind
from streaming_operator.seen import Seen

# A child or pod of one stack: the name of its kind, its own name.
ChildKey = tuple[str, str]


class Change(Enum):
    """What a sighting means for the stack."""

    NOTHING = 0
    # Somebody else's hand, or the object is new or gone: repair at once.
    DRIFT = 1
    # Only its status: compute the stack's status anew.
    STATUS = 2


class Cache:
    """What was last seen, by stack."""

    def __init__(self) -> None:
        self._stacks: dict[Key, dict[ChildKey, Seen]] = {}
        self._synced: set[tuple[str, str | None]] = set()

    def put(self, key: Key, kind: Kind, name: str, new: Seen) -> Change:
        """Take a sighting; one that is older than what is known says nothing."""
        children = self._stacks.setdefault(key, {})
        old = children.get((kind.name, name))
        if old is not None and old.uid == new.uid and _is_older(new.version, old.version):
            return Change.NOTHING
        children[kind.name, name] = new
        return _difference(old, new)

    def remove(self, key: Key, kind: Kind, name: str, uid: str) -> Change:
        """An object is gone; nothing where another of its name has taken its place."""
        children = self._stacks.get(key, {})
        old = children.get((kind.name, name))
        if old is None or old.uid != uid:
            return Change.NOTHING
        del children[kind.name, name]
        if not children:
            self._stacks.pop(key, None)
        return Change.STATUS if kind is POD else Change.DRIFT

    def get(self, key: Key, kind: Kind, name: str) -> Seen | None:
        """One child."""
        return self._stacks.get(key, {}).get((kind.name, name))

    def children(self, key: Key) -> dict[ChildKey, Seen]:
        """Everything of one stack, pods included; a copy."""
        return dict(self._stacks.get(key, {}))

    def of_kind(self, key: Key, kind: Kind) -> Iterator[tuple[str, Seen]]:
        """Name and sighting of every object of one kind of a stack."""
        for (kind_name, name), seen in self._stacks.get(key, {}).items():
            if kind_name == kind.name:
                yield name, seen

    def everything_of(self, kind: Kind, namespace: str | None) -> list[tuple[Key, str, str]]:
        """Stack, name and uid of all objects of a kind, in one namespace or all."""
        return [
            (key, name, seen.uid)
            for key, children in self._stacks.items()
            if namespace in (None, key.namespace)
            for (kind_name, name), seen in children.items()
            if kind_name == kind.name
        ]

    def stacks(self) -> list[Key]:
        """Every stack of which something is there, whether the StreamingStack itself is or not."""
        return list(self._stacks)

    def __len__(self) -> int:
        """Objects known."""
        return sum(map(len, self._stacks.values()))


def _difference(old: Seen | None, new: Seen) -> Change:
    if old is None:
        return Change.STATUS if not new.drift else Change.DRIFT
    if (old.uid, old.drift, old.owner, old.terminating) != (new.uid, new.drift, new.owner, new.terminating):
        return Change.DRIFT if new.drift else Change.STATUS
    return Change.STATUS if old.state != new.state else Change.NOTHING


def _is_older(version: str, than: str) -> bool:
    """resourceVersions grow; a server that counts otherwise is believed whatever it says."""
    return version.isdecimal() and than.isdecimal() and int(version) <= int(than)

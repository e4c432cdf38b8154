"""From what watches show to what is looked at again: the cache is told, then the queue."""

from collections.abc import Callable

from streaming_operator import names
from streaming_operator.cache import Cache, Change
from streaming_operator.kinds import CONFIG_MAP, SECRET, Key, Kind
from streaming_operator.seen import Metadata, Seen
from streaming_operator.stacks import Stacks

# A rollout moves many pods in a moment: their words are gathered before the status is computed anew.
STATUS_DELAY_SECONDS = 0.5

Add = Callable[[Key, float], None]


class Sightings:
    """A watch's sink. Secrets and ConfigMaps that are not children are never kept: only who names them is asked."""

    def __init__(self, cache: Cache, stacks: Stacks, add: Add) -> None:
        self._cache = cache
        self._stacks = stacks
        self._add = add

    def sighted(self, kind: Kind, metadata: Metadata, sighting: Seen) -> None:
        """An object is there, as listed or changed."""
        key = _stack_of(metadata)
        if key is not None:
            self._changed(key, self._cache.put(key, kind, metadata.name, sighting))
        self._named(kind, metadata)

    def gone(self, kind: Kind, metadata: Metadata, uid: str) -> None:
        """An object was deleted."""
        key = _stack_of(metadata)
        if key is not None:
            self._changed(key, self._cache.remove(key, kind, metadata.name, uid))
        self._named(kind, metadata)

    def listed(self, kind: Kind, namespace: str | None, uids: set[str]) -> None:
        """A list is complete: what it does not have is gone, though no event said so."""
        for key, name, uid in self._cache.everything_of(kind, namespace):
            if uid not in uids:
                self._changed(key, self._cache.remove(key, kind, name, uid))

    def _changed(self, key: Key, change: Change) -> None:
        if change is Change.DRIFT:
            self._add(key, 0.0)
        elif change is Change.STATUS:
            self._add(key, STATUS_DELAY_SECONDS)

    def _named(self, kind: Kind, metadata: Metadata) -> None:
        if kind in (SECRET, CONFIG_MAP):
            for key in self._stacks.naming(metadata.namespace, kind.name, metadata.name):
                self._add(key, 0.0)


def _stack_of(metadata: Metadata) -> Key | None:
    labels = metadata.labels or {}
    if labels.get(names.MANAGED_BY) != names.FIELD_MANAGER or names.STACK not in labels:
        return None
    return Key(metadata.namespace, labels[names.STACK])

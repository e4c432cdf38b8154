"""Which stacks there are, what they name, and which of them are ending. Pure bookkeeping of one process."""

from collections.abc import Iterable

from streaming_operator.kinds import Key
from streaming_operator.references import Reference

# At the gateways of a deleted stack, 2 s apart: in these minutes the garbage collector has ended them or never will.
LOOKS = 150


class Stacks:
    """What watches of StreamingStacks and earlier reconciles told."""

    def __init__(self) -> None:
        self._known: set[Key] = set()
        # How often they are still looked at.
        self._ending: dict[Key, int] = {}
        self._named: dict[tuple[str, str, str], set[Key]] = {}
        self._names: dict[Key, frozenset[tuple[str, str, str]]] = {}

    def known(self) -> list[Key]:
        """Every stack, for the resync; those that are ending too."""
        return sorted(self._known | self._ending.keys())

    def seen(self, key: Key) -> None:
        """A StreamingStack is there."""
        self._known.add(key)

    def is_known(self, key: Key) -> bool:
        """Whether a StreamingStack was there when it was last heard of."""
        return key in self._known

    def deleted(self, key: Key) -> None:
        """It was seen to go, so its gateways are to end."""
        self._known.discard(key)
        self._ending[key] = LOOKS

    def ends(self, key: Key) -> None:
        """It is on its way out."""
        self._ending.setdefault(key, LOOKS)

    def is_ending(self, key: Key) -> bool:
        """Whether gateways of a deleted stack of that name may still run."""
        return key in self._ending

    def looked(self, key: Key) -> None:
        """Some still run. Not for ever: whoever deletes a stack and keeps its children keeps its gateways too."""
        self._ending[key] -= 1
        if self._ending[key] <= 0:
            self.ended(key)

    def ended(self, key: Key) -> None:
        """None of them does any more."""
        self._ending.pop(key, None)

    def names(self, key: Key, references: Iterable[Reference]) -> None:
        """Remember which Secrets and ConfigMaps a stack names."""
        now = frozenset((key.namespace, reference.kind, reference.name) for reference in references)
        for gone in self._names.get(key, frozenset()) - now:
            self._named.get(gone, set()).discard(key)
            if not self._named.get(gone):
                self._named.pop(gone, None)
        for named in now:
            self._named.setdefault(named, set()).add(key)
        self._names[key] = now

    def naming(self, namespace: str, kind: str, name: str) -> list[Key]:
        """The stacks that name that object."""
        return sorted(self._named.get((namespace, kind, name), ()))

    def forget(self, key: Key) -> None:
        """The stack is gone: it names nothing."""
        self.names(key, ())
        self._names.pop(key, None)
        self._known.discard(key)

    def __len__(self) -> int:
        """Stacks that are there."""
        return len(self._known)

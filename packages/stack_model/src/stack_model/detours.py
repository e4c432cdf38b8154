"""Ways around backends of a route, for nginx, which cannot exclude an address by itself; pure."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

# Of so few, every combination has an upstream of its own: 15 at most.
LISTS_UP_TO = 4


@dataclass(frozen=True)
class Detours:
    """`upstreams`: name -> backends. `patterns`: regular expression of "POOL LIST", upstream; the first match holds."""

    upstreams: dict[str, tuple[str, ...]] = field(default_factory=dict)
    patterns: list[tuple[str, str]] = field(default_factory=list)


def detours(pool: str, backends: Sequence[str]) -> Detours:
    """The ways around any listed backends of `pool`, where there are up to LISTS_UP_TO; around one of them for more.

    A list that names none of the backends, or all, leads to any of them: to `POOL_any`, which the text has to have.
    """
    if len(backends) < 2:
        return Detours()
    few = len(backends) <= LISTS_UP_TO
    found = Detours()
    sizes = range(len(backends) - 1, 0, -1) if few else (1,)
    if few:
        found.patterns.append((_all_of(pool, backends), f"{pool}_any"))
    for avoided in itertools.chain.from_iterable(itertools.combinations(backends, size) for size in sizes):
        name = f"{pool}_without_{'_'.join(str(backends.index(backend)) for backend in avoided)}"
        found.upstreams[name] = tuple(backend for backend in backends if backend not in avoided)
        found.patterns.append((_all_of(pool, avoided), name))
    if not few:  # the first of a list is the worst
        firsts = [(f"^{re.escape(pool)} {re.escape(backends[i])}(,|$)", name) for i, name in enumerate(found.upstreams)]
        found.patterns[:0] = firsts
    found.patterns.append((f"^{re.escape(pool)} .", f"{pool}_any"))
    return found


def _all_of(pool: str, backends: Sequence[str]) -> str:
    return f"^{re.escape(pool)} " + "".join(rf"(?=(.*,)?{re.escape(backend)}(,|$))" for backend in backends)

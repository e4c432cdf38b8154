"""kopf's part: it watches StreamingStacks and tells the queue; nothing else.

Only `on.event`: kopf then adds no finalizer and no annotation to users' objects, and a deletion waits for nobody.
"""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import kopf

from streaming_operator import names
from streaming_operator.kinds import STACK, Key

# Called with the key, and whether the stack was deleted.
Notice = Callable[[Key, bool], None]


class Backoffs:
    """Seconds between attempts, without end: where they end, so does the operator.

    One namespace that was deleted, and our rights with it, would take the operator away from all others.
    """

    def __iter__(self) -> Iterator[float]:
        return chain((1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0), repeat(30.0))


def registry(notice: Notice) -> kopf.OperatorRegistry:
    """Handlers of one operator."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**kwargs: Any) -> Any:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(STACK.group, STACK.version, STACK.plural, registry=handlers)
    async def stack_seen(type: str | None, namespace: str | None, name: str | None, **_: Any) -> None:
        if namespace and name:
            notice(Key(namespace, name), type == "DELETED")

    return handlers


def settings(pod_name: str) -> kopf.OperatorSettings:
    """kopf made to leave alone what is not ours."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True  # else it pauses for any operator whose peering is called `default`
    chosen.posting.enabled = False  # events are posted by `cluster`, on flips of conditions only
    chosen.posting.reporting_component = names.FIELD_MANAGER
    chosen.posting.reporting_instance = pod_name
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    chosen.networking.error_backoffs = Backoffs()
    chosen.watching.connect_timeout = 10
    chosen.watching.chunk_size = 500
    chosen.scanning.disabled = True  # no list or watch of namespaces and custom resource definitions
    chosen.persistence.finalizer = f"{names.GROUP}/unused"  # never added; named in case somebody adds a timer
    return chosen


async def watch_stacks(notice: Notice, namespaces: list[str], pod_name: str) -> None:
    """Watch StreamingStacks until cancelled or asked to stop by SIGTERM or SIGINT; no namespaces are all of them."""
    await kopf.operator(
        registry=registry(notice),
        settings=settings(pod_name),
        clusterwide=not namespaces,
        namespaces=namespaces,
        standalone=True,
    )

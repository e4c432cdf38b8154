"""A gateway's own death: what it carried breaks off, clients come back at once, nobody else notices.

A run of its own: a gateway is the one part that a session cannot outlive.
"""

import asyncio
import concurrent.futures
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import replace

from e2e_cluster.door import Door
from kubernetes.client import V1Pod
from live_namespace import until
from scripted_stack import Running, status_of

from e2e_chaos.records import Comeback
from e2e_chaos.sessions import Speech, Where, speak

# A client that lost its connection tries again this soon, and goes on trying for that long.
_AGAIN_SECONDS = 0.1
_TRYING_SECONDS = 30.0
_OPEN_SECONDS = 60.0


def come_back(where: Where, speeches: Sequence[Speech]) -> list[Comeback]:
    """Clients that open another session when theirs breaks off, for the rest of the time; in this process."""
    return asyncio.run(_all(where, speeches))


async def _all(where: Where, speeches: Sequence[Speech]) -> list[Comeback]:
    return await asyncio.gather(*(_client(where, speech) for speech in speeches))


async def _client(where: Where, speech: Speech) -> Comeback:
    clock = time.monotonic
    first = await speak(where, speech, clock)
    if first.is_whole or not first.session_id:
        return Comeback((first,))
    broken = clock()
    rest = replace(speech, seconds=max(5.0, speech.seconds - first.sent_s))
    while clock() - broken < _TRYING_SECONDS:
        again = await speak(where, rest, clock)
        if again.session_id:
            return Comeback((first, again), again.begun_at - broken)
        await asyncio.sleep(_AGAIN_SECONDS)
    return Comeback((first, again), _TRYING_SECONDS)


def kill_a_gateway(running: Running, door: Door, speeches: Sequence[Speech], after_s: float) -> list[Comeback]:
    """SIGKILL to the gateway that carries the most of those sessions, some seconds after all of them are open."""

    def carried() -> list[tuple[float, V1Pod]]:
        pods = running.stack.ready_pods("gateway")
        return sorted(
            ((running.metric(pod, "streaming_gateway_sessions_active"), pod) for pod in pods), key=lambda one: one[0]
        )

    def all_open() -> list[tuple[float, V1Pod]] | None:
        found = carried()
        return found if sum(sessions for sessions, _ in found) >= len(speeches) else None

    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        clients = pool.submit(come_back, running.where, speeches)
        _, victim = until("all sessions are open", all_open, _OPEN_SECONDS)[-1]
        time.sleep(after_s)
        door.kill(victim.spec.node_name, status_of(victim, "gateway").container_id)
        return clients.result()

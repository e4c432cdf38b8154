"""Sessions of real speech that have to hear everything, whatever happens meanwhile; and on which gateways they are."""

import concurrent.futures
import contextlib
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from kubernetes.client import V1Pod
from listener import MOST_WRONG, Listener, recording, spoken, wrong
from live_namespace import LiveNamespace
from operated_stack import OperatedStack

_BEGIN_SECONDS = 60.0


@contextlib.contextmanager
def uncut_session(stack: OperatedStack, recordings: Path, *, repeats: int = 1) -> Iterator[Listener]:
    """A session that has begun; at its end it has heard everything, and nothing went wrong.

    `repeats`: how often the recording, 22 s long, is spoken in it.
    """
    pcm, said = recording(recordings)
    listener = Listener()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        key = stack.first_key()
        session = pool.submit(spoken, stack.host, key, pcm * repeats, speed=1.0, listener=listener)
        assert listener.began.wait(_BEGIN_SECONDS)
        yield listener
        session.result(timeout=180 + 30 * repeats)
    assert listener.errors == []
    assert listener.terminated.is_set()
    assert wrong(listener, " ".join([said] * repeats)) <= MOST_WRONG


def sessions_of(namespace: LiveNamespace, gateway: V1Pod) -> int:
    """How many sessions a gateway has, by its own metrics."""
    with (
        namespace.forwarded(f"pod/{gateway.metadata.name}", 9090) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page,
    ):
        found = re.search(r"^streaming_gateway_sessions_active (\S+)$", page.read().decode(), re.M)
    assert found
    return int(float(found[1]))

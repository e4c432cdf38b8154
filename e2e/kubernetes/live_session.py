"""Sessions with a stack behind the ingress: side by side, while something happens to it, refused; where they are."""

import asyncio
import concurrent.futures
import contextlib
import re
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import assemblyai as aai
from assemblyai.sync.v1 import SyncTranscriber
from kubernetes.client import V1Pod
from listener import ENGLISH, MOST_WRONG, RATE, Listener, recording, spoken, wrong
from live_namespace import LiveNamespace
from operated_stack import OperatedStack
from streamingstack_bench.wire_client import wire_client

_BEGINNING_SECONDS = 60.0
# Beyond the recording's own time: a machine that is busy with everything else.
_PATIENCE_SECONDS = 180.0


@contextlib.contextmanager
def uncut_session(
    stack: OperatedStack, recordings: Path, *, model: str = ENGLISH, times: int = 1
) -> Iterator[Listener]:
    """A session that has begun, with the recording so many times; at its end it has heard everything."""
    pcm, said = recording(recordings)
    # A breath after each time, so that they are apart.
    pcm = (pcm + bytes(2 * RATE)) * times
    listener = Listener()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        session = pool.submit(spoken, stack.host, stack.first_key(), pcm, speed=1.0, model=model, listener=listener)
        assert listener.began.wait(_BEGINNING_SECONDS), f"{model}: no session: {listener.errors}"
        yield listener
        session.result(timeout=len(pcm) / 2 / RATE + _PATIENCE_SECONDS)
    assert listener.errors == [], model
    assert listener.terminated.is_set(), model
    assert wrong(listener, " ".join([said] * times)) <= MOST_WRONG, model


def hear_side_by_side(sessions: list[tuple[OperatedStack, str]], recordings: Path) -> None:
    """Whole sessions at the same time, one for each stack and model; each hears what was said."""
    with contextlib.ExitStack() as all_of_them:
        for stack, model in sessions:
            all_of_them.enter_context(uncut_session(stack, recordings, model=model))


def transcription(stack: OperatedStack, key: str, path: Path) -> str | None:
    """What the official SDK's client of the sync API is answered; None where the stack has none there.

    Raises AssemblyAIError where the sync API refuses.
    """
    client = aai.Client(settings=aai.Settings(api_key=key, sync_base_url=f"https://{stack.host}"))
    try:
        return str(SyncTranscriber(client=client).transcribe(str(path)).text)
    except aai.types.SyncTranscriptError as refused:
        if refused.error_code:
            raise
        return None  # somebody else answered


@contextlib.contextmanager
def staying_session(stack: OperatedStack) -> Iterator[Future[int]]:
    """A session that stays open until the server ends it; the future has the code of that close."""
    begun = threading.Event()

    async def stay() -> int:
        async with wire_client(f"wss://{stack.host}/v3/ws", key=stack.first_key(), speech_model=ENGLISH) as client:
            await client.until(lambda message: message["type"] == "Begin")
            begun.set()
            code, _ = await client.rest(_PATIENCE_SECONDS)
            return code

    with concurrent.futures.ThreadPoolExecutor() as pool:
        session = pool.submit(lambda: asyncio.run(stay()))
        assert begun.wait(_BEGINNING_SECONDS)
        yield session


def refusal(stack: OperatedStack, model: str = ENGLISH) -> str | None:
    """Why a new session is refused, in the words of the SDK; None where it is not."""
    heard = spoken(stack.host, stack.first_key(), bytes(3200), speed=1.0, model=model)
    return None if heard.began.is_set() else "; ".join(heard.errors)


def sessions_of(namespace: LiveNamespace, gateway: V1Pod) -> int:
    """How many sessions a gateway has, by its own metrics."""
    with (
        namespace.forwarded(f"pod/{gateway.metadata.name}", 9090) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page,
    ):
        found = re.search(r"^streaming_gateway_sessions_active (\S+)$", page.read().decode(), re.M)
    assert found
    return int(float(found[1]))

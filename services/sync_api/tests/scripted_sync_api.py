"""A whole sync API before a scripted recogniser, on free ports, and recordings to send to it: for tests here, and for
those with real clients."""

import contextlib
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import soundfile
from streaming_asr.server import RecogniserServer
from streaming_sync_api.app import RunningSyncApi, run_sync_api
from streaming_sync_api.settings import SyncSettings
from streamingstack_bench.scripted import Script, serve_scripted

ENGLISH = {"speech_model": "universal-streaming-english", "route": "en-default"}
MULTILINGUAL = {"speech_model": "universal-streaming-multilingual", "route": "ml-default"}
UNIVERSAL_3 = {"speech_model": "universal-3-5-pro", "route": "u3-pro"}
SPOKEN = Script.of("Book a table for two | | at seven.")
TEXT = "Book a table for two at seven."


def wav(seconds: float, rate: int = 16_000, channels: int = 1, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    """A recording of silence: what is heard is the script's."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((round(seconds * rate), channels), np.int16), rate, subtype, format=kind)
    return file.getvalue()


@dataclass(frozen=True)
class Stack:
    """`recogniser` is the scripted one."""

    running: RunningSyncApi
    recogniser: RecogniserServer
    client: httpx2.AsyncClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.port}"

    async def send(
        self,
        audio: bytes,
        config: dict[str, Any] | str | None = None,
        *,
        audio_type: str = "audio/wav",
        path: str = "/transcribe",
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """POST a recording as clients do."""
        files: dict[str, Any] = {"audio": ("audio", audio, audio_type)}
        if config is not None:
            text = config if isinstance(config, str) else json.dumps(config)
            files = {"config": (None, text, "application/json"), **files}
        headers = {"Authorization": "self-hosted"} if headers is None else headers
        return await self.client.post(self.url + path, files=files, headers=headers)

    async def metrics(self) -> str:
        """The text of the metrics port."""
        return (await self.client.get(f"http://127.0.0.1:{self.running.metrics_port}/metrics")).text


@contextlib.asynccontextmanager
async def scripted_sync_api(
    script: Script = SPOKEN,
    *,
    models: Any = (ENGLISH, MULTILINGUAL),
    replacing: bool = False,
    capacity: int = 28,
    delay_seconds: float = 0.0,
    **settings: Any,
) -> AsyncIterator[Stack]:
    """Both while the context is open; `settings` are the sync API's."""
    async with serve_scripted(script, replacing=replacing, capacity=capacity, delay_seconds=delay_seconds) as server:
        fixed = {
            "host": "127.0.0.1",
            "port": 0,
            "metrics_port": 0,
            "models": json.dumps(list(models)),
            "asr_endpoint": f"127.0.0.1:{server.port}",
            "check_contract": True,
        }
        async with (
            run_sync_api(SyncSettings(**{**fixed, **settings})) as running,
            httpx2.AsyncClient(timeout=60, trust_env=False) as client,
        ):
            yield Stack(running, server, client)

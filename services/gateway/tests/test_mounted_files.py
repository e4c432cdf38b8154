"""Secrets and ConfigMaps that change under a running gateway, swapped by links as Kubernetes does."""

import hashlib
import json
from pathlib import Path
from typing import Any

from streamingstack_bench.mounted_file import MountedFile
from streamingstack_bench.wire_client import wire_client

ENGLISH = {"speech_model": "universal-streaming-english", "route": "en-default"}
MULTILINGUAL = {"speech_model": "universal-streaming-multilingual", "route": "ml-default"}


def hashed(*keys: str) -> str:
    return "".join(f"{hashlib.sha256(key.encode()).hexdigest()} {key}-tenant\n" for key in keys)


async def first_message(url: str, **query: Any) -> str:
    async with wire_client(url, **query) as client:
        return str((await client.next() or {})["type"])


async def test_api_keys_follow_their_secret_and_open_sessions_go_on(stack: Any, tmp_path: Path) -> None:
    keys = MountedFile(tmp_path, "keys", hashed("first"))
    async with stack(api_keys_file=keys.path) as running, wire_client(running.url, key="first") as open_session:
        assert (await open_session.next() or {})["type"] == "Begin"
        assert await first_message(running.url, key="other") == "Error"
        keys.replace(hashed("other"))
        assert await first_message(running.url, key="other") == "Begin"
        assert await first_message(running.url, key="first") == "Error"
        await open_session.audio(3000)
        assert await open_session.terminate() == (1000, "Session Ended")


async def test_an_unusable_secret_keeps_the_keys_that_were(stack: Any, tmp_path: Path) -> None:
    keys = MountedFile(tmp_path, "keys", hashed("first"))
    async with stack(api_keys_file=keys.path) as running:
        keys.replace("first\n")
        assert await first_message(running.url, key="first") == "Begin"
        keys.path.unlink()
        assert await first_message(running.url, key="first") == "Begin"


async def test_models_follow_their_config_map_and_sessions_of_a_model_taken_out_go_on(
    stack: Any, tmp_path: Path
) -> None:
    models = MountedFile(tmp_path, "models.json", json.dumps([ENGLISH, MULTILINGUAL]))
    wanted: dict[str, Any] = {"speech_model": MULTILINGUAL["speech_model"]}
    async with stack(models=None, models_file=models.path) as running, wire_client(running.url, **wanted) as session:
        assert (await session.next() or {})["type"] == "Begin"
        models.replace(json.dumps([ENGLISH]))
        assert await first_message(running.url, **wanted) == "Error"
        assert await first_message(running.url, speech_model=ENGLISH["speech_model"]) == "Begin"
        await session.audio(3000)
        assert await session.terminate() == (1000, "Session Ended")

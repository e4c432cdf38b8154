"""Every message that the gateway sends passes the clients' own models."""

import json
from pathlib import Path
from typing import Any

import pytest
from client_runs import Client, run_client
from streamingstack_bench.wire_client import wire_client

SECONDS = 6
SDK = Client("Python SDK 1.8.2", None, "parse_messages.py")
SDK_MESSAGES = ["Begin", "Turn", "SpeechStarted", "Termination", "Error", "Heartbeat"]
# What each version has models of.
OLD_SDK_MESSAGES = {
    "1.0.0": SDK_MESSAGES,
    "0.65.0": SDK_MESSAGES,
    "0.64.26": ["Begin", "Turn", "SpeechStarted", "Termination", "Error"],
    "0.61.0": ["Begin", "Turn", "SpeechStarted", "Termination", "Error"],
    "0.58.0": ["Begin", "Turn", "SpeechStarted", "Termination", "Error"],
    "0.42.1": ["Begin", "Turn", "Termination", "Error"],
}
PIPECAT_MESSAGES = ["Begin", "Turn", "SpeechStarted", "Termination"]


@pytest.mark.check(106)
@pytest.mark.parametrize(
    ("client", "models", "kinds"),
    [
        (SDK, "python-sdk", SDK_MESSAGES),
        *[
            (
                Client(f"Python SDK {version}", f"python-sdk-{version.replace('.', '-')}", "parse_messages.py"),
                "python-sdk",
                kinds,
            )
            for version, kinds in OLD_SDK_MESSAGES.items()
        ],
        (Client("Pipecat 1.14.0", "pipecat", "parse_messages.py"), "pipecat", PIPECAT_MESSAGES),
        (Client("Pipecat 0.0.104", "pipecat-0-0-104", "parse_messages.py"), "pipecat", PIPECAT_MESSAGES),
        (Client("Pipecat 0.0.85", "pipecat-0-0-85", "parse_messages.py"), "pipecat", ["Begin", "Turn", "Termination"]),
    ],
    ids=lambda given: given.name if isinstance(given, Client) else "",
)
async def test_the_clients_models_take_every_message(
    stack: Any, tmp_path: Path, client: Client, models: str, kinds: list[str]
) -> None:
    sent = [message for message in await every_kind(stack) if message["type"] in kinds]
    assert {message["type"] for message in sent} == set(kinds)
    file = tmp_path / "messages.jsonl"
    file.write_text("".join(json.dumps(message) + "\n" for message in sent))
    told = await run_client(client, "", models=models, messages=str(file))
    assert told.code == 0, told.log
    assert told.of("refused") == []
    assert [event["type"] for event in told.of("parsed")] == [message["type"] for message in sent]


async def every_kind(stack: Any) -> list[dict[str, Any]]:
    """What sessions of each family are sent, one that is refused among them."""
    sent: list[dict[str, Any]] = []
    multilingual: dict[str, Any] = {"speech_model": "universal-streaming-multilingual", "language_detection": "true"}
    async with stack() as running:
        queries: list[dict[str, Any]] = [{}, {"format_turns": "true"}, multilingual, {"speech_model": "nope"}]
        for query in queries:
            sent += await session(running.url, **query)
        async with wire_client(running.url, session_heartbeat="true", opted_in=frozenset({"Heartbeat"})) as client:
            await client.until(lambda message: message["type"] == "Heartbeat", 8)
        sent += client.messages
    async with stack(replacing=True) as running:
        sent += await session(running.url, universal3=True, speech_model="universal-3-5-pro", language_detection="true")
    return sent


async def session(url: str, *, universal3: bool = False, **query: Any) -> list[dict[str, Any]]:
    """The messages of one session."""
    async with wire_client(url, universal3=universal3, **query) as client:
        if (await client.next() or {})["type"] == "Begin":
            await client.audio(1000 * SECONDS)
            await client.say("Terminate")
        await client.rest()
    return client.messages

"""Runs a real client as a process of its own, against any server, and reads what it told."""

import asyncio
import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client_environments import HERE, interpreter, node, plain

DRIVERS = HERE / "drivers"
_PATIENCE_SECONDS = 90.0
Event = dict[str, Any]


@dataclass(frozen=True)
class Client:
    """`environment` is a name in pyproject.toml, None for this one; `driver` a file in drivers/ or javascript/."""

    name: str
    environment: str | None
    driver: str

    def command(self) -> list[str]:
        """What to run before the order. Makes the environment where it is missing, which may take a minute."""
        if self.driver.endswith(".mjs"):
            return [str(node()), str(HERE / "javascript" / self.driver)]
        python = sys.executable if self.environment is None else str(interpreter(self.environment))
        return [python, str(DRIVERS / self.driver)]


@dataclass(frozen=True)
class Told:
    """What a client told, in order; `code` is how its process ended, `log` what it wrote beside."""

    events: list[Event]
    code: int
    log: str

    def of(self, kind: str) -> list[Event]:
        """Every event of a kind."""
        return [event for event in self.events if event["event"] == kind]

    def one(self, kind: str) -> Event:
        """The only event of a kind. Raises AssertionError where there is none or are several."""
        found = self.of(kind)
        assert len(found) == 1, f"{len(found)} of {kind}: {self.events}\n{self.log}"
        return found[0]

    def texts(self, kind: str, **wanted: Any) -> list[str]:
        """What those events of a kind say that have these fields."""
        return [event["text"] for event in self.of(kind) if wanted.items() <= event.items()]

    def finals(self, *, formatted: bool) -> list[str]:
        """Of clients that tell turns as they come: the ends of turn."""
        return self.texts("turn", end=True, formatted=formatted)


async def run_client(
    client: Client,
    url: str,
    *,
    key: str = "self-hosted",
    audio: Path | None = None,
    speed: float | None = None,
    authority: Path | None = None,
    midway: dict[str, Any] | None = None,
    with_token: bool = False,
    **parameters: Any,
) -> Told:
    """Run it to its end; drivers/order.py tells what it is given.

    `authority` is a PEM file that it shall trust, told by its language's own variable.
    Raises ClientEnvironmentError where the client cannot be installed, AssertionError where it does not end.
    """
    command = await asyncio.to_thread(client.command)
    said = {"audio": audio and str(audio), "speed": speed, "midway": midway, "parameters": parameters}
    order = {"url": url, "key": key, "token": with_token, **said}
    trust = {} if authority is None else {"SSL_CERT_FILE": str(authority), "NODE_EXTRA_CA_CERTS": str(authority)}
    process = await asyncio.create_subprocess_exec(
        *command,
        json.dumps(order),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**plain(os.environ), **trust},
    )
    since = time.monotonic()
    try:
        out, log = await asyncio.wait_for(process.communicate(), _PATIENCE_SECONDS)
    except TimeoutError:
        raise AssertionError(f"{client.name} runs for {time.monotonic() - since:.0f} s and does not end") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode is not None
    events = [json.loads(line) for line in out.splitlines()]
    return Told(events, process.returncode, log.decode(errors="replace")[-4000:])


# Written anew after the example of the self-hosted stack, not that file; on the websockets that it holds.
EXAMPLE = Client("flow of the example client", "example-client", "example_client.py")
PYTHON_SDK = Client("Python SDK 1.8.2", None, "python_sdk.py")
PYTHON_SDK_ASYNC = Client("Python SDK 1.8.2, asynchronous", None, "python_sdk_async.py")
JAVASCRIPT_SDK = Client("JavaScript SDK 4.41.5", "javascript", "client.mjs")
LIVEKIT = Client("LiveKit 1.8.9", "livekit", "livekit_plugin.py")
OLD_LIVEKIT = Client("LiveKit 1.4.6", "livekit-1-4-6", "livekit_plugin.py")
OLDEST_LIVEKIT = Client("LiveKit 1.2.14", "livekit-1-2-14", "livekit_fixed_url.py")
PIPECAT = Client("Pipecat 1.14.0", "pipecat", "pipecat_service.py")
OLD_PIPECAT = Client("Pipecat 0.0.104", "pipecat-0-0-104", "pipecat_service.py")
OLDEST_PIPECAT = Client("Pipecat 0.0.85", "pipecat-0-0-85", "pipecat_transport.py")


def python_sdk(version: str, *, asynchronous: bool = False) -> Client:
    """An old version of the Python SDK."""
    kind, driver = (", asynchronous", "python_sdk_async.py") if asynchronous else ("", "python_sdk.py")
    return Client(f"Python SDK {version}{kind}", f"python-sdk-{version.replace('.', '-')}", driver)

"""The Python SDK's synchronous client, of any version."""

import time
from collections.abc import Iterator
from typing import Any

import assemblyai.streaming.v3 as aai
from order import chunks, read_order, tell, waits


def main() -> None:
    """One session, from connect to disconnect."""
    order = read_order()
    client = aai.StreamingClient(aai.StreamingClientOptions(api_key=order["key"], api_host=order["url"]))
    if order["token"]:
        token = client.create_temporary_token(expires_in_seconds=60, max_session_duration_seconds=600)
        client = aai.StreamingClient(aai.StreamingClientOptions(token=token, api_host=order["url"]))
    client.on(aai.StreamingEvents.Begin, lambda _, begin: tell("begin", id=str(begin.id)))
    client.on(aai.StreamingEvents.Turn, lambda _, turn: tell_turn(turn))
    client.on(aai.StreamingEvents.Termination, lambda _, end: tell("termination", audio=end.audio_duration_seconds))
    client.on(aai.StreamingEvents.Error, lambda _, error: tell("error", code=error.code, text=str(error)))
    since = time.monotonic()
    client.connect(aai.StreamingParameters(**order["parameters"]))
    tell("connected", seconds=time.monotonic() - since)
    client.stream(paced(client, order))
    since = time.monotonic()
    client.disconnect(terminate=True)
    tell("disconnected", seconds=time.monotonic() - since)


def tell_turn(turn: aai.TurnEvent) -> None:
    """What the client knows of a turn."""
    tell(
        "turn", order=turn.turn_order, text=turn.transcript, end=turn.end_of_turn, formatted=turn.turn_is_formatted,
        words=len(turn.words),
    )  # fmt: skip


def paced(client: aai.StreamingClient, order: dict[str, Any]) -> Iterator[bytes]:
    """The audio at the speed of the order."""
    for piece, wait, midway in waits(order, chunks(order)):
        time.sleep(wait)
        if midway:
            client.set_params(aai.StreamingSessionParameters(**order["midway"]))
            client.keep_alive()
            client.force_endpoint()
        yield piece


if __name__ == "__main__":
    main()

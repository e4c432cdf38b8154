"""What a client says in text frames."""

import json
from dataclasses import dataclass
from enum import Enum

from streaming_gateway.parameters import Tunable, read_update
from streaming_gateway.problems import invalid_input

# Quotes of what the client sent, in an Error to the same client.
_LONGEST_QUOTE = 200


@dataclass(frozen=True)
class UpdateConfiguration:
    """Settings from here on."""

    change: Tunable


class Command(Enum):
    """Messages without content."""

    TERMINATE = "Terminate"
    FORCE_ENDPOINT = "ForceEndpoint"
    KEEP_ALIVE = "KeepAlive"


ClientMessage = Command | UpdateConfiguration
_PLAIN = {command.value: command for command in Command}


def read_client_message(text: str) -> ClientMessage:
    """The message in a text frame; raises Problem 3006."""
    try:
        message = json.loads(text)
    except json.JSONDecodeError as failure:
        raise invalid_input(f"Invalid JSON: {failure}") from None
    except (ValueError, RecursionError):
        raise invalid_input("Invalid JSON: a number or a nesting beyond all limits") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise invalid_input(f"Invalid Message: {text[:_LONGEST_QUOTE]}")
    if message["type"] == "UpdateConfiguration":
        return UpdateConfiguration(read_update(message))
    if message["type"] in _PLAIN:
        return _PLAIN[message["type"]]
    raise invalid_input(f"Invalid Message Type: {message['type'][:_LONGEST_QUOTE]}")

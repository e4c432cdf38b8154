"""Holds both sides of a stream against the model of the contract; for tests."""

from typing import Any

from asr_contract.conversation import Conversation

from streaming_gateway.link.stream import Observe


def contract_check(active: bool) -> Observe:
    """An observer of one stream. Where `active`, it raises ContractError at the first message against the contract."""
    if not active:
        return _nothing
    conversation = Conversation()

    def check(direction: str, message: Any) -> None:
        if direction == "up":
            conversation.up(message)
        else:
            conversation.down(message)

    return check


def _nothing(direction: str, message: Any) -> None:
    pass

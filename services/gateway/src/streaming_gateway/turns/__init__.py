"""What the client sees of the speech: pure state machines from the recogniser's messages to turns."""

from streaming_gateway.turns.checkpoints import LONGEST_SILENCE_MS, checkpoints_ms
from streaming_gateway.turns.config import DEFAULT_CONFIDENCE_THRESHOLD, TurnConfig
from streaming_gateway.turns.machine import Decide, Effect, Send, TurnMachine
from streaming_gateway.turns.universal import UniversalTurns
from streaming_gateway.turns.universal3 import Universal3Turns

__all__ = [
    "DEFAULT_CONFIDENCE_THRESHOLD",
    "LONGEST_SILENCE_MS",
    "Decide",
    "Effect",
    "Send",
    "TurnConfig",
    "TurnMachine",
    "Universal3Turns",
    "UniversalTurns",
    "checkpoints_ms",
    "turn_machine",
]


def turn_machine(config: TurnConfig) -> TurnMachine:
    """The machine of the configuration's family."""
    return Universal3Turns(config) if config.family == "universal-3" else UniversalTurns(config)

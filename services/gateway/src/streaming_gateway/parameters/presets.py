"""What holds where the client says nothing, by model and mode."""

from dataclasses import dataclass, replace
from typing import get_args

from stack_model.catalogue import Family

from streaming_gateway.parameters.fields import Mode

MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True)
class Preset:
    """Silences and delays in milliseconds."""

    min_turn_silence: int
    max_turn_silence: int
    vad_threshold: float
    continuous_partials: bool = False
    interruption_delay: int = 500


_UNIVERSAL = Preset(min_turn_silence=400, max_turn_silence=1280, vad_threshold=0.4)
_REALTIME_PRO = Preset(min_turn_silence=100, max_turn_silence=1000, vad_threshold=0.3)
_UNIVERSAL_3 = Preset(min_turn_silence=128, max_turn_silence=1536, vad_threshold=0.3, continuous_partials=True)
_MODES: dict[Mode, Preset] = {
    "min_latency": replace(_UNIVERSAL_3, interruption_delay=0),
    "balanced": _UNIVERSAL_3,
    "max_accuracy": replace(_UNIVERSAL_3, min_turn_silence=800),
}


def has_modes(family: Family, speech_model: str) -> bool:
    """Whether `mode` means anything to `speech_model`, the id that the client asked for."""
    return family == "universal-3" and not speech_model.startswith("u3-rt-pro")


def preset(family: Family, speech_model: str, mode: Mode | None) -> Preset:
    """The settings of `speech_model`, the id that the client asked for."""
    if family == "universal":
        return _UNIVERSAL
    return _MODES[mode or "balanced"] if has_modes(family, speech_model) else _REALTIME_PRO

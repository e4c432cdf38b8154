"""What holds where the client says nothing, by model and mode."""

from dataclasses import asdict, dataclass, replace
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


@dataclass(frozen=True)
class Universal3Defaults:
    """What Universal-3 starts from in every mode: an operator may choose otherwise. Silences in milliseconds."""

    min_turn_silence: int = 128
    max_turn_silence: int = 1536
    vad_threshold: float = 0.3


BUILT_IN = Universal3Defaults()
_UNIVERSAL = Preset(min_turn_silence=400, max_turn_silence=1280, vad_threshold=0.4)
_REALTIME_PRO = Preset(min_turn_silence=100, max_turn_silence=1000, vad_threshold=0.3)
_ACCURATE_MS = 800


def has_modes(family: Family, speech_model: str) -> bool:
    """Whether `mode` means anything to `speech_model`, the id that the client asked for."""
    return family == "universal-3" and not speech_model.startswith("u3-rt-pro")


def preset(family: Family, speech_model: str, mode: Mode | None, defaults: Universal3Defaults = BUILT_IN) -> Preset:
    """The settings of `speech_model`, the id that the client asked for."""
    if family == "universal":
        return _UNIVERSAL
    if not has_modes(family, speech_model):
        return _REALTIME_PRO
    base = Preset(**asdict(defaults), continuous_partials=True)
    if mode == "min_latency":
        return replace(base, interruption_delay=0)
    if mode == "max_accuracy":
        return replace(base, min_turn_silence=max(_ACCURATE_MS, base.min_turn_silence))
    return base

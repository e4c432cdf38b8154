"""Configurations whose turns are measured, as query parameters of the protocol. Pure."""

from collections.abc import Mapping

Configuration = Mapping[str, str]


def _silences(low: int, high: int) -> dict[str, str]:
    return {"min_turn_silence": str(low), "max_turn_silence": str(high)}


def _universal() -> dict[str, Configuration]:
    """The documented presets, each with the end-of-turn model's score and by silence alone."""
    presets = {"aggressive": (0.4, 160, 400), "balanced (default)": (0.4, 400, 1280), "conservative": (0.7, 800, 3600)}
    made: dict[str, Configuration] = {}
    for name, (threshold, low, high) in presets.items():
        made[name] = {"end_of_turn_confidence_threshold": str(threshold), **_silences(low, high)}
        made[f"{name}, silence alone"] = {**made[name], "end_of_turn_confidence_threshold": "1"}
    return made


UNIVERSAL = _universal()
UNIVERSAL_3: dict[str, Configuration] = {
    "min_latency": {"mode": "min_latency"},
    "balanced (default)": {"mode": "balanced"},
    "max_accuracy": {"mode": "max_accuracy"},
    "as `u3-rt-pro`": {"speech_model": "u3-rt-pro"},
    "100 ms, as voice agents ask": _silences(100, 100),
}
# As Pipecat does: the model's own ends are off, the client asks.
FORCED: Configuration = {"end_of_turn_confidence_threshold": "1", **_silences(160, 3600)}

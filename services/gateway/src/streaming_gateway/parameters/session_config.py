"""One session's configuration, resolved: what the client said over what its model's preset says."""

from dataclasses import dataclass, replace
from typing import Any

from stack_model.catalogue import GatewayModel

from streaming_gateway.catalogue import Catalogue
from streaming_gateway.link.api import Hearing
from streaming_gateway.parameters.fields import LEAST_CHECK_MS, LONGEST_PROMPT, MOST_CHECK_MS, Mode
from streaming_gateway.parameters.model import ConnectParameters, Tunable
from streaming_gateway.parameters.presets import BUILT_IN, Preset, Universal3Defaults, has_modes, preset
from streaming_gateway.problems import invalid_parameter
from streaming_gateway.turns import DEFAULT_CONFIDENCE_THRESHOLD, TurnConfig, checkpoints_ms

API_VERSION = "2025-05-12"
_OF_THE_MODE = tuple(Preset.__dataclass_fields__)


@dataclass(frozen=True)
class SessionConfig:
    """`speech_model` is the id to echo, `said` every tunable the client ever set."""

    speech_model: str
    model: GatewayModel
    connect: ConnectParameters
    said: Tunable
    defaults: Universal3Defaults = BUILT_IN

    @property
    def universal3(self) -> bool:
        """Whether turns follow the rules of Universal-3."""
        return self.model.family == "universal-3"

    @property
    def mode(self) -> Mode | None:
        """The preset's name; None for models without one."""
        return (self.said.mode or "balanced") if self._has_modes else None

    @property
    def _has_modes(self) -> bool:
        return has_modes(self.model.family, self.speech_model)

    @property
    def preset(self) -> Preset:
        """The preset with the client's own values over it."""
        base = preset(self.model.family, self.speech_model, self.mode, self.defaults)
        own = {name: getattr(self.said, name) for name in _OF_THE_MODE if getattr(self.said, name) is not None}
        resolved = replace(base, **own)
        if self.universal3:
            clamped = min(max(resolved.min_turn_silence, LEAST_CHECK_MS), MOST_CHECK_MS)
            return replace(resolved, min_turn_silence=clamped)
        return resolved

    @property
    def turns(self) -> TurnConfig:
        """What rules the turns."""
        threshold = self.said.end_of_turn_confidence_threshold
        return TurnConfig(
            family=self.model.family,
            min_turn_silence=self.preset.min_turn_silence,
            max_turn_silence=self.preset.max_turn_silence,
            end_of_turn_confidence_threshold=DEFAULT_CONFIDENCE_THRESHOLD if threshold is None else threshold,
            format_turns=bool(self.said.format_turns),
            include_partial_turns=self.connect.include_partial_turns,
            report_language=self.connect.language_detection and not self.speech_model.endswith("-english"),
            continuous_partials=self.preset.continuous_partials,
            interruption_delay=self.preset.interruption_delay,
            filter_profanity=bool(self.said.filter_profanity),
            language=self._steered_to[0] if self._steered_to else "",
        )

    @property
    def hearing(self) -> Hearing:
        """What the recogniser is told. Steering and context are for Universal-3 only."""
        return Hearing(
            vad_threshold=self.preset.vad_threshold,
            checkpoints_ms=checkpoints_ms(self.turns),
            language_codes=self._steered_to,
            prompt=self._prompt() if self.universal3 else "",
            keyterms=tuple(self.said.keyterms_prompt or ()),
        )

    @property
    def acknowledge_silence(self) -> bool:
        """Whether the client asked for Silence messages; for Universal-3 only."""
        return self.universal3 and bool(self.said.acknowledge_silence)

    @property
    def session_heartbeat(self) -> bool:
        """Whether the client asked for Heartbeat messages."""
        return bool(self.said.session_heartbeat)

    @property
    def _steered_to(self) -> tuple[str, ...]:
        steered = self.universal3 and self.said.language_codes not in (None, ["multi"])
        return tuple(self.said.language_codes or ()) if steered else ()

    def echo(self) -> dict[str, Any]:
        """The configuration as Begin tells it: nothing that might be spoken, and null for what its model has not."""
        turns = self.turns
        return {
            "model": self.speech_model,
            "mode": self.mode,
            "api_version": API_VERSION,
            "speaker_labels": False,
            "redact_pii": False,
            "filter_profanity": turns.filter_profanity,
            "domain": None,
            "voice_focus": None,
            "sample_rate": self.connect.sample_rate,
            "encoding": self.connect.encoding,
            "min_turn_silence": turns.min_turn_silence,
            "max_turn_silence": turns.max_turn_silence,
            "vad_threshold": self.preset.vad_threshold,
            "end_of_turn_confidence_threshold": turns.end_of_turn_confidence_threshold,
            "format_turns": self.universal3 or turns.format_turns,
            "include_partial_turns": turns.include_partial_turns,
            "continuous_partials": self.universal3 and turns.continuous_partials,
            "interruption_delay": turns.interruption_delay if self.universal3 else None,
            "language_detection": turns.report_language,
            "language_codes": list(self._steered_to),
            "inactivity_timeout": self.connect.inactivity_timeout,
            "session_heartbeat": self.session_heartbeat,
            "acknowledge_silence": self.acknowledge_silence,
        }

    def updated(self, change: Tunable) -> "SessionConfig":
        """After an UpdateConfiguration. A mode re-applies its preset; what came in the same message is over it."""
        new = change.model_dump(exclude_none=True)
        old = self.said.model_dump(exclude_none=True)
        if "mode" in new and self._has_modes:
            old = {name: value for name, value in old.items() if name not in _OF_THE_MODE}
        return replace(self, said=Tunable.model_construct(**{**old, **new}))

    def _prompt(self) -> str:
        context = " ".join(filter(None, (self.said.prompt, self.said.agent_context)))
        return context[-LONGEST_PROMPT:]


def resolve(
    connect: ConnectParameters,
    catalogue: Catalogue,
    route: str = "",
    defaults: Universal3Defaults = BUILT_IN,
) -> SessionConfig:
    """The configuration of a new session; `route` is the client's own X-Model-Version. Raises Problem 3006."""
    speech_model, model = catalogue.find(connect.speech_model, connect.language, route)
    if model.family == "universal":
        for name in ("prompt", "mode"):
            if getattr(connect, name) is not None:
                raise invalid_parameter(name, f"Value error, {name} is not supported by {speech_model}")
    said = Tunable.model_construct(**{name: getattr(connect, name) for name in Tunable.model_fields})
    return SessionConfig(speech_model, model, connect, said, defaults)

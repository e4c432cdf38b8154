"""Which of the deployed models hears a recording. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from stack_model.catalogue import GatewayModel
from stack_model.languages import languages_of_speech_models

from streaming_sync_api.config import TranscribeConfig
from streaming_sync_api.problems import bad_request

ENGLISH = "universal-streaming-english"
_MULTI = "multi"


@dataclass(frozen=True)
class Models:
    """What is deployed, never empty, and which of it hears where a client says nothing."""

    models: tuple[GatewayModel, ...]
    default: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where the default is not among the models."""
        names = [model.speech_model for model in self.models]
        if self.default is not None and self.default not in names:
            raise ValueError(f"default speech model {self.default!r} is not served; choose of: {', '.join(names)}")

    def choose(self, config: TranscribeConfig) -> GatewayModel:
        """The default, unless another one understands more of the languages, or alone takes the context that was sent.

        Raises SyncProblem 400 where no model understands any of the languages: never another language's model.
        """
        wanted = set(config.languages) - {_MULTI}
        able = [model for model in self._in_order() if not wanted or wanted & understood(model)]
        if not able:
            known = sorted(set().union(*(understood(model) for model in self.models)))
            raise bad_request(
                f"config.language_codes: no deployed model understands them; choose of {', '.join(known)}"
            )

        def rank(model: GatewayModel) -> tuple[int, bool]:
            spread = len(understood(model)) if _MULTI in config.languages else len(wanted & understood(model))
            return spread, bool(config.context) and model.family == "universal-3"

        return max(able, key=rank)  # of equals the first

    def _in_order(self) -> Sequence[GatewayModel]:
        marked = next((model.speech_model for model in self.models if model.default), None)
        first = self.default or marked or ENGLISH
        return sorted(self.models, key=lambda model: model.speech_model != first)


def understood(model: GatewayModel) -> set[str]:
    """ISO 639-1 codes of what a model understands."""
    return set(languages_of_speech_models([model.speech_model])) or {"en"}


def steering(model: GatewayModel, config: TranscribeConfig) -> tuple[str, ...]:
    """The codes that a recogniser of `model` is told; none for one that knows a single language."""
    known = understood(model)
    return tuple(code for code in config.languages if code in known) if len(known) > 1 else ()

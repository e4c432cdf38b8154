"""Which languages a model listens for, by the `speech_model` it serves; pure."""

from collections.abc import Sequence

from stack_model.api import Model

_MULTILINGUAL = ("en", "es", "fr", "de", "it", "pt")
_UNIVERSAL_3 = (*_MULTILINGUAL, "tr", "nl", "sv", "no", "da", "fi", "hi", "vi", "ar", "he", "ja", "ur", "zh")


def languages_of(model: Model) -> tuple[str, ...]:
    """ISO 639-1 codes that detection is bound to; empty for a model of one language."""
    return languages_of_speech_models(model.speech_models)


def languages_of_speech_models(names: Sequence[str]) -> tuple[str, ...]:
    """The same of a model that answers to these values of `speech_model`."""
    if any(name.startswith(("universal-3-", "u3-")) for name in names):
        return _UNIVERSAL_3
    if any(name.endswith("-multilingual") for name in names):
        return _MULTILINGUAL
    return ()

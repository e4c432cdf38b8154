"""Which model answers to a `speech_model`: what is deployed, aliases, the default."""

from dataclasses import dataclass

from stack_model.catalogue import GatewayModel

from streaming_gateway.problems import Problem, invalid_parameter

ENGLISH = "universal-streaming-english"
MULTILINGUAL = "universal-streaming-multilingual"
_UNIVERSAL_3 = "universal-3-5-pro"
ALIASES = {
    "u3-rt-pro": _UNIVERSAL_3,
    "u3-rt-pro-beta-1": _UNIVERSAL_3,
    "universal-3-6-pro": _UNIVERSAL_3,
    "universal-3-6": _UNIVERSAL_3,
}


@dataclass(frozen=True)
class Catalogue:
    """What this gateway serves; `models` is never empty."""

    models: tuple[GatewayModel, ...]
    default: str | None = None
    aliases: bool = True

    def __post_init__(self) -> None:
        """Raises ValueError where the default is not among the models."""
        if self.default is not None and self._deployed(self.default) is None:
            raise ValueError(f"default speech model {self.default!r} is not served; choose of: {', '.join(self.ids)}")

    @property
    def ids(self) -> list[str]:
        """The deployed values of `speech_model`, in the order of the configuration."""
        return [model.speech_model for model in self.models]

    def find(self, requested: str | None, language: str | None = None, route: str = "") -> tuple[str, GatewayModel]:
        """The id to echo and the model behind it; raises Problem 3006 listing what is served.

        `route` is an X-Model-Version that the client sent itself: it chooses where nothing else does, and must not
        name another model than `requested`.
        """
        if route and not requested:
            return self._of_the_route(route)
        wanted = requested or self._unnamed(language)
        model = self._deployed(wanted)
        if model is None and self.aliases and wanted in ALIASES:
            model = self._deployed(ALIASES[wanted])
        if model is None:
            raise self.unknown()
        if route and route not in model.routes:
            raise _other_route(list(model.routes))
        return wanted, model

    def unknown(self) -> Problem:
        """The refusal of a model that is not served."""
        return invalid_parameter("speech_model", f"Input should be {_listed(self.ids)}")

    def _of_the_route(self, route: str) -> tuple[str, GatewayModel]:
        behind = [model for model in self.models if route in model.routes]
        if not behind:
            raise _other_route(list(dict.fromkeys(route for model in self.models for route in model.routes)))
        chosen = next((model for model in behind if model.speech_model == self.default), behind[0])
        return chosen.speech_model, chosen

    def _unnamed(self, language: str | None) -> str:
        if language == "multi":
            if self._deployed(MULTILINGUAL) is None:
                raise invalid_parameter(
                    "language",
                    f"Value error, 'multi' is {MULTILINGUAL}, which is not served: leave it out, or set speech_model "
                    f"to {_listed(self.ids)}",
                )
            return MULTILINGUAL
        if self.default is not None:
            return self.default
        return ENGLISH if self._deployed(ENGLISH) else self.ids[0]

    def _deployed(self, name: str) -> GatewayModel | None:
        return next((model for model in self.models if model.speech_model == name), None)


def _other_route(routes: list[str]) -> Problem:
    return invalid_parameter("X-Model-Version", f"Input should be {_listed(routes)}, or leave the header out")


def _listed(names: list[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))

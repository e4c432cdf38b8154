"""Bodies of requests: what is wrong with one is told by field, and never quoted."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, StringConstraints, ValidationError

_MAX_PROBLEMS = 10
_MAX_COUNT = 2**53 - 1  # what JSON numbers hold exactly everywhere

Count = Annotated[int, Field(ge=0, le=_MAX_COUNT, strict=True)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$", strict=True)]

Body = TypeVar("Body", bound=BaseModel)


class BodyRefused(Exception):
    """A body that is not what the route takes; `fields` are `{field, problem}` and never hold what was sent."""

    def __init__(self, fields: list[dict[str, str]]) -> None:
        self.fields = fields
        super().__init__("; ".join(f"{entry['field']}: {entry['problem']}" for entry in fields))


def read_body(kind: type[Body], body: bytes) -> Body:
    """The body as one of `kind`. Raises BodyRefused."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as refused:
        errors = refused.errors(include_url=False, include_context=False, include_input=False)
        raise BodyRefused(
            [{"field": _field(error["loc"]), "problem": error["msg"]} for error in errors[:_MAX_PROBLEMS]]
        ) from None


def _field(location: tuple[Any, ...]) -> str:
    """`events[3].audio_ms` from ("events", 3, "audio_ms")."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return name.removeprefix(".") or "body"

"""What every type of the API is made of: frozen models, rules that the API server checks too, strings of one form.

Each constraint is declared once and used twice: by pydantic here, and by the custom resource definition that
`stack_model.crd` makes of these types.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema


class ApiModel(BaseModel):
    """Frozen, camelCase outside, snake_case inside; an unknown field is an error."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


@dataclass(frozen=True)
class Rule:
    """One rule over several fields of a type, as CEL for the API server and as a predicate for Python.

    cel: an expression over `self`, the object with its defaults filled in.
    message: names the field and the remedy.
    holds: the same over the model.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool]


def _as_declared(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Adds to the JSON schema what pydantic leaves out: rules, and defaults that are made afresh each time."""
    for field in model.model_fields.values():
        made = _made_default(field)
        if made is not None:
            schema["properties"][field.alias]["default"] = made
    rules: tuple[Rule, ...] = getattr(model, "rules", ())
    if rules:
        schema["x-kubernetes-validations"] = [{"rule": rule.cel, "message": rule.message} for rule in rules]


def _made_default(field: FieldInfo) -> Any:
    """The default of a field with a factory, as an object; None for an empty list or mapping, which says nothing."""
    made = field.get_default(call_default_factory=True) if field.default_factory else None
    if isinstance(made, BaseModel):
        # Defaults further inside are filled in by the API server itself. Yet where rules read them, it wants them here
        # too: it tries the rules on this default as it stands.
        empty = {name for name, value in made if value in ([], {})}
        read = bool(getattr(made, "rules", ()))
        return made.model_dump(by_alias=True, exclude=empty, exclude_none=True, exclude_defaults=not read)
    if isinstance(made, list):
        return [item.model_dump(by_alias=True, exclude_none=True) for item in made] or None
    return made or None


class SpecModel(ApiModel):
    """A part of `spec`: nothing is converted, a null means absent, and `rules` hold."""

    model_config = ConfigDict(strict=True, json_schema_extra=_as_declared)
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, raw: Any) -> Any:
        # As the API server prunes it.
        return {name: value for name, value in raw.items() if value is not None} if isinstance(raw, dict) else raw

    @model_validator(mode="after")
    def _rules_hold(self) -> Self:
        broken = [rule.message for rule in self.rules if not rule.holds(self)]
        if broken:
            raise ValueError("; ".join(broken))
        return self


@dataclass(frozen=True)
class Shape:
    """A string of at most `longest` characters that matches `pattern` whole; `remedy` says what to write instead."""

    pattern: str
    longest: int
    remedy: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^({self.pattern})$", "maxLength": self.longest}

    def _checked(self, text: str) -> str:
        if len(text) > self.longest or not re.fullmatch(self.pattern, text, re.ASCII):
            raise ValueError(self.remedy)
        return text


@dataclass(frozen=True)
class Keyed:
    """A list of objects of which no two have the same `key`; server-side apply merges them by it."""

    key: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        extra = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}
        return {**handler(schema), **extra}

    def _checked(self, items: list[Any]) -> list[Any]:
        _refuse_twice([getattr(item, self.key) for item in items], self.key)
        return items


@dataclass(frozen=True)
class Distinct:
    """A list of strings of which no two are the same."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-kubernetes-list-type": "set"}

    def _checked(self, items: list[str]) -> list[str]:
        _refuse_twice(items, "value")
        return items


def _refuse_twice(values: Sequence[str], what: str) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{what} {', '.join(twice)} appears twice")

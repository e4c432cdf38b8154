"""The fields of `spec` by their paths, such as `models[].streams.maxPerPod`: those of the types, those of a stack."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from stack_model.api import Spec, StreamingStack


def leaves(part: type[BaseModel] = Spec, path: str = "") -> Iterator[tuple[str, str]]:
    """Every field that has no fields of its own, and its description."""
    for field in part.model_fields.values():
        name = f"{path}{field.alias}"
        inner = _inner(field.annotation)
        if inner is None:
            yield name, field.description or ""
        else:
            yield from leaves(inner[0], f"{name}{inner[1]}.")


def _inner(annotation: Any) -> tuple[type[BaseModel], str] | None:
    """The model inside an optional or a list, and what a list adds to the path."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    for argument in get_args(annotation):
        found = _inner(argument)
        if found is not None:
            return (found[0], "[]") if get_origin(annotation) is list else found
    return None


def changed(before: StreamingStack, after: StreamingStack) -> set[str]:
    """The fields that are not the same in both."""
    old, new = _values(before.spec), _values(after.spec)
    return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def _values(part: BaseModel, path: str = "") -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for attribute, field in type(part).model_fields.items():
        value, name = getattr(part, attribute), f"{path}{field.alias}"
        if _inner(field.annotation) is None:
            found.setdefault(name, []).append(value)
            continue
        many, within = (value, f"{name}[].") if isinstance(value, list) else ([value], f"{name}.")
        for one in many:
            for inside, values in _values(one, within).items() if one is not None else ():
                found.setdefault(inside, []).extend(values)
    return found

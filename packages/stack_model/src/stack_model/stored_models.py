"""What the model store is told to keep: the list that is rendered for it, and the identity by which pods ask for it."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from stack_model.api import ApiModel, Model, ModelFile, Route

# Mounted into pods by Kubernetes itself, so the store has nothing to do with them.
MOUNTED_SCHEMES = ("pvc://", "image://")


class StoredModelsError(ValueError):
    """A list that cannot be used; the text names the entry, the field and the reason, and quotes no value."""


class StoredModel(ApiModel):
    """One model: a whole folder by `source`, or `files` with their digests."""

    name: Route = Field(description="The model's name in the stack.")
    source: str | None = Field(default=None, max_length=4096, description="URI of a folder with the whole model.")
    files: list[ModelFile] = Field(default_factory=list, description="Or file by file, with digests.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.source is None) == (not self.files):
            raise ValueError("set exactly one of source and files")
        return self

    @property
    def identity(self) -> str:
        """What the model is, in hex: changes when a pod must have another one, not when only a mirror does."""
        if self.source is not None:
            return source_identity(self.source)
        return digest_of({file.path: file.sha256 for file in self.files})


class _StoredModels(ApiModel):
    model_config = ConfigDict(**{**ApiModel.model_config, "extra": "ignore"})

    models: list[StoredModel]

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        names = [model.name for model in self.models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} appears twice")
        return self


def digest_of(files: Mapping[str, str]) -> str:
    """sha256 of the sorted 'sha256  path' lines; `files` maps paths to their sha256."""
    lines = sorted(f"{sha256}  {path}\n" for path, sha256 in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def source_identity(uri: str) -> str:
    """The identity of a whole-folder source, in hex; its digest is known only once it was fetched."""
    return hashlib.sha256(f"source {uri}".encode()).hexdigest()


def needs_store(model: Model) -> bool:
    """Whether the model comes through the store; what Kubernetes mounts does not."""
    return model.source is None or not model.source.startswith(MOUNTED_SCHEMES)


def stored_model(model: Model) -> StoredModel:
    """The part of a stack's model that the store is told."""
    return StoredModel(name=model.name, source=model.source, files=model.files)


def dump_stored_models(models: Sequence[StoredModel]) -> str:
    """YAML that `parse_stored_models` reads back, the same for the same models."""
    content = {"models": [model.model_dump(by_alias=True, exclude_defaults=True) for model in models]}
    text: str = yaml.safe_dump(content, sort_keys=True, width=4096)
    return text


def parse_stored_models(text: str) -> list[StoredModel]:
    """Read the list from YAML or JSON; raises StoredModelsError."""
    try:
        document: Any = yaml.safe_load(text)
    except yaml.YAMLError as failure:
        mark = getattr(failure, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        raise StoredModelsError(f"{where}neither YAML nor JSON") from None
    try:
        return _StoredModels.model_validate(document).models
    except ValidationError as refused:
        # Never the input: a source may carry a user and a password.
        lines = [f"{'.'.join(map(str, e['loc'])) or 'models'}: {e['msg']}" for e in refused.errors()]
        raise StoredModelsError("; ".join(lines)) from None

"""Reading a StreamingStack, from a file or from the API server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from stack_model.api.stack import StreamingStack


class StackError(ValueError):
    """A StreamingStack that cannot be used; the text names the file, the field and the reason."""


def load_stack(path: Path) -> StreamingStack:
    """Read one StreamingStack from a YAML file; raises StackError."""
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as failure:
        raise StackError(f"{path}: {failure}") from None
    if len(documents) != 1:
        raise StackError(f"{path}: expected one StreamingStack, found {len(documents)} documents")
    try:
        return read_stack(documents[0])
    except StackError as refused:
        raise StackError(f"{path}: {refused}") from None


def read_stack(document: Mapping[str, Any]) -> StreamingStack:
    """The StreamingStack of a decoded object; raises StackError naming each field and its remedy on one line."""
    try:
        return StreamingStack.model_validate(document)
    except ValidationError as refused:
        lines = [
            f"{'.'.join(map(str, error['loc'])) or 'object'}: {error['msg'].removeprefix('Value error, ')}"
            for error in refused.errors(include_url=False, include_context=False)
        ]
        raise StackError("; ".join(lines)) from None

"""The name of a model: a digest over its files' digests."""

from collections.abc import Mapping

from stack_model.stored_models import digest_of


def model_digest(files: Mapping[str, str]) -> str:
    """sha256 of the sorted 'sha256  path' lines; `files` maps paths to their sha256."""
    return digest_of(files)

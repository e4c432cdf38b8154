"""Models by source URI: fetch, verify, keep by digest."""

from model_store.cache import Cache, CachedModel, default_cache
from model_store.digest import model_digest
from model_store.download import Retry
from model_store.errors import (
    DiskFullError,
    ModelStoreError,
    SourceError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnreachableError,
    UnsafePathError,
    WrongDigestError,
)
from model_store.progress import Progress, Silent
from model_store.pull import pull, pull_model, pull_source
from model_store.uris import parse_source, printable

__all__ = [
    "Cache",
    "CachedModel",
    "DiskFullError",
    "ModelStoreError",
    "Progress",
    "Retry",
    "Silent",
    "SourceError",
    "SourceNotFoundError",
    "SourceRefusedError",
    "SourceUnreachableError",
    "UnsafePathError",
    "WrongDigestError",
    "default_cache",
    "model_digest",
    "parse_source",
    "printable",
    "pull",
    "pull_model",
    "pull_source",
]

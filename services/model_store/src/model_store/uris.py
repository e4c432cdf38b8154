"""Source URIs, parsed without touching the world."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from model_store.errors import SourceError, UnsafePathError


@dataclass(frozen=True)
class PypiSource:
    """`pypi://distribution==version/path`: a file or folder inside a wheel; `path` may be empty for a whole wheel."""

    distribution: str
    version: str
    path: str


@dataclass(frozen=True)
class HttpSource:
    """`https://` or `http://`: one file."""

    url: str


@dataclass(frozen=True)
class HubSource:
    """`hf://owner/model@revision` or, with a path, one file of it."""

    repository: str
    revision: str
    path: str


@dataclass(frozen=True)
class FileSource:
    """`file:///path`: a file or folder of this machine."""

    path: Path


@dataclass(frozen=True)
class S3Source:
    """`s3://bucket/key`: an object, or all objects below a prefix."""

    bucket: str
    key: str


Source = PypiSource | HttpSource | HubSource | FileSource | S3Source

_PYPI = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9._+!-]*)(?:/(?P<path>.*))?")
_HUB = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[^/@]+)(?:/(?P<path>.*))?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_WITHOUT_HOST = ("pypi", "hf", "file", "pvc", "image")
_ELSEWHERE = {"pvc": "a volume claim", "image": "a container image"}


def parse_source(uri: str) -> Source:
    """Take a source URI apart; raises SourceError naming the URI and the form that was expected."""
    scheme, found, rest = uri.partition("://")
    if not found:
        raise SourceError(f"{uri!r} is no source URI; it starts with pypi://, https://, hf://, s3:// or file://")
    if scheme in _ELSEWHERE:
        raise SourceError(f"{uri!r}: {_ELSEWHERE[scheme]} is mounted by Kubernetes and cannot be pulled")
    parser = _PARSERS.get(scheme)
    if parser is None:
        raise SourceError(f"{printable(uri)!r}: unknown scheme {scheme!r}; use pypi, https, hf, s3 or file")
    return parser(uri, rest)


def _pypi(uri: str, rest: str) -> PypiSource:
    match = _PYPI.fullmatch(rest)
    if match is None:
        raise SourceError(f"{uri!r}: expected pypi://distribution==version/path/in/wheel")
    return PypiSource(match["name"], match["version"], _inner(uri, match["path"]))


def _http(uri: str, rest: str) -> HttpSource:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError as refused:
        raise SourceError(f"{printable(uri)!r}: {refused}") from None
    if not parts.hostname or parts.path in ("", "/"):
        raise SourceError(f"{printable(uri)!r}: expected https://host/path of one file")
    return HttpSource(uri)


def _hub(uri: str, rest: str) -> HubSource:
    match = _HUB.fullmatch(rest)
    if match is None:
        raise SourceError(f"{uri!r}: expected hf://owner/model@revision or hf://owner/model@revision/file")
    return HubSource(match["repo"], unquote(match["revision"]), _inner(uri, match["path"]))


def _file(uri: str, rest: str) -> FileSource:
    if not rest.startswith("/"):
        raise SourceError(f"{uri!r}: expected an absolute path, file:///path")
    return FileSource(Path(unquote(rest)))


def _s3(uri: str, rest: str) -> S3Source:
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SourceError(f"{printable(uri)!r}: expected s3://bucket/key")
    return S3Source(bucket, key)


def _inner(uri: str, path: str | None) -> str:
    inner = unquote(path or "").rstrip("/")
    if inner:
        try:
            safe_path(inner)
        except UnsafePathError:
            raise SourceError(f"{uri!r}: the path inside must not contain '..' or start with '/'") from None
    return inner


_PARSERS: dict[str, Callable[[str, str], Source]] = {
    "pypi": _pypi,
    "https": _http,
    "http": _http,
    "hf": _hub,
    "file": _file,
    "s3": _s3,
}


def safe_path(path: str) -> PurePosixPath:
    """`path` if it stays inside the folder that it is relative to; raises UnsafePathError."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path or pure == PurePosixPath():
        raise UnsafePathError(f"the source names a file {path!r}, which would leave the model's folder; refused")
    return pure


def printable(uri: str) -> str:
    """`uri` without user, password, query and fragment, which may hold secrets."""
    scheme, found, rest = uri.partition("://")
    if not found or scheme in _WITHOUT_HOST:
        return uri
    host, slash, path = rest.partition("/")
    netloc = host.rpartition("@")[2]
    return urlunsplit((scheme, netloc, (slash + path).split("?")[0].split("#")[0], "", ""))

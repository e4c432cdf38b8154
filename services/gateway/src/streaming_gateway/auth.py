"""Who may open a session: API keys, known by their hashes only."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from service_kit.watched_file import WatchedFile

from streaming_gateway.problems import unauthorized

_HASH = re.compile(r"[0-9a-f]{64}")
OPEN_TENANT = "open"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored; `name` is the tenant in usage."""

    sha256: str
    name: str


class Authenticator(Protocol):
    """Decides on a credential."""

    def tenant(self, credential: str) -> str:
        """The tenant behind `credential`; raises Problem 1008."""


class AnyNonEmpty:
    """Takes whatever is not empty."""

    def tenant(self, credential: str) -> str:
        """Everybody is one tenant."""
        return OPEN_TENANT


class ApiKeys:
    """Compares with a file of hashes, read again when it changes."""

    def __init__(self, keys: WatchedFile[list[ApiKey]]) -> None:
        self._keys = keys

    def tenant(self, credential: str) -> str:
        """The name of the key; `Bearer ` before it is accepted. Raises Problem 1008."""
        digests = [_sha256(credential), _sha256(credential.removeprefix("Bearer ").strip())]
        found = None
        for key in self._keys.content():
            # Every key is compared, in constant time, so that the time tells nothing.
            matches = [hmac.compare_digest(digest, key.sha256) for digest in digests]
            if any(matches):
                found = key
        if found is None:
            raise unauthorized("Invalid API key", "invalid_key")
        return found.name


def parse_keys(text: str) -> list[ApiKey]:
    """Lines of `sha256-in-hex [name]`; `#` begins a comment. Raises ValueError naming the line."""
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        digest, _, name = line.partition("#")[0].strip().partition(" ")
        if not digest:
            continue
        if not _HASH.fullmatch(digest.lower()):
            raise ValueError(f"line {number}: expected the sha256 of a key in hexadecimal, then optionally a name")
        if len(name) > 100 or not name.isprintable():
            raise ValueError(f"line {number}: the name must be printable and at most 100 characters")
        keys.append(ApiKey(digest.lower(), name.strip() or f"key-{digest[:8].lower()}"))
    return keys


def credential(headers: Sequence[str], token: str | None) -> str:
    """The credential of a request: the token of the query, else the Authorization header. Raises Problem 1008.

    `headers` are the values of all Authorization headers.
    """
    given = (token or "").strip() or next((value.strip() for value in headers), "")
    if not given:
        raise unauthorized("Missing Authorization header", "missing_key")
    return given


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

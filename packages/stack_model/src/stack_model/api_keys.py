"""The file of API keys: their hashes, whose they are, and how much each may. Pure."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

_HASH = re.compile(r"[0-9a-f]{64}")
# `max_` begins a limit wherever it stands; whatever else stands there is the name, spaces and all.
_LIMIT = re.compile(r"(?<!\S)(max_\w*)=(\S*)")
_LIMITS = ("max_sessions", "max_new_per_minute")
_MOST = 1_000_000


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored; `name` is the tenant in usage. None is no limit; both hold for each key by itself."""

    sha256: str
    name: str
    max_sessions: int | None = None
    max_new_per_minute: int | None = None

    @property
    def mark(self) -> str:
        """Tells it from other keys wherever sessions are counted; its hash stays with who verifies it."""
        return hashlib.sha256(f"mark:{self.sha256}".encode()).hexdigest()[:32]

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.max_sessions is not None or self.max_new_per_minute is not None


# Where no keys are configured everybody shares this one; no key has its hash.
EVERYBODY = ApiKey("", "open")


def find_key(keys: Sequence[ApiKey], credential: str) -> ApiKey | None:
    """The key that `credential` is, as it stands or after `Bearer `; of two lines with one hash, the last.

    Bytes of a header that are no ASCII are surrogates in `credential`, as `surrogateescape` makes them; the text of a
    query has its letters. A key is the same in either.
    """
    digests = [_sha256(credential), _sha256(bare(credential))]
    found = None
    for key in keys:
        # Every key is compared, in constant time, so that the time tells nothing.
        matches = [hmac.compare_digest(digest, key.sha256) for digest in digests]
        if any(matches):
            found = key
    return found


def bare(credential: str) -> str:
    """Without the `Bearer ` that may stand before it."""
    return credential.removeprefix("Bearer ").strip()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def parse_keys(text: str) -> list[ApiKey]:
    """Lines of `sha256-in-hex [name] [max_sessions=N] [max_new_per_minute=N]`; `#` begins a comment.

    Raises ValueError naming the line; its text holds nothing of what stands there.
    """
    keys = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=1)
        if not words:
            continue
        try:
            keys.append(_key(words[0].lower(), *words[1:]))
        except ValueError as wrong:
            raise ValueError(f"line {number}: {wrong}") from None
    return keys


def _key(digest: str, rest: str = "") -> ApiKey:
    if not _HASH.fullmatch(digest):
        raise ValueError("expected the sha256 of a key in hexadecimal, then optionally a name and limits")
    name = _LIMIT.sub("", rest).strip()
    if len(name) > 100 or not name.isprintable():
        raise ValueError("the name must be printable and at most 100 characters")
    limits = _limits(_LIMIT.findall(rest))
    return ApiKey(digest, name or f"key-{digest[:8]}", limits.get("max_sessions"), limits.get("max_new_per_minute"))


def _limits(given: list[tuple[str, str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, value in given:
        if name not in _LIMITS:
            raise ValueError(f"a limit is {' or '.join(_LIMITS)}; no name may begin with max_ and hold a =")
        if name in found:
            raise ValueError(f"{name} is given twice")
        if not (value.isascii() and value.isdigit() and len(value) < 10 and 1 <= int(value) <= _MOST):
            raise ValueError(f"{name} must be a whole number from 1 to {_MOST}; leave it out where there is no limit")
        found[name] = int(value)
    return found

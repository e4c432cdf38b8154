"""Temporary tokens: signed, of one key, short-lived. The gateway keeps none of them. Pure: the time is an argument.

A token is a JWT (HS256). What it says of its key is worth nothing to its bearer: neither the key's name nor its hash.
"""

import hashlib
import hmac
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import jwt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_ALGORITHM = "HS256"
# One spelling of each token: decoders of base64 pass over padding and what else they do not know.
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# Ours have about 200 characters; nothing longer is worth decoding.
_LONGEST = 512
# HMAC-SHA256 wants a key as long as its digest.
_SHORTEST_SECRET = 32


class TokenExpired(Exception):
    """A token of ours whose time is over."""


class _Claims(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    exp: int
    key: str
    cap: int = Field(ge=1)


@dataclass(frozen=True)
class Token:
    """A token of ours in its time. `session_seconds` is the longest session that it opens.

    `id` is its own and tells nothing of it: a hash over what is signed, of which there is one spelling only.
    `expires_at` is in Unix time.
    """

    session_seconds: int
    id: str
    expires_at: int
    _key: str
    _secret: str = field(repr=False)

    def is_of(self, key_sha256: str) -> bool:
        """Whether it was made with the key of this hash."""
        return hmac.compare_digest(self._key, _key_mark(self._secret, key_sha256))


def parse_secrets(text: str) -> list[str]:
    """A secret a line: the first signs, all of them verify. Raises ValueError naming the line, and never its text."""
    secrets = []
    for number, line in enumerate(text.splitlines(), 1):
        secret = line.strip()
        if secret and len(secret.encode()) < _SHORTEST_SECRET:
            raise ValueError(
                f"line {number}: a token secret needs {_SHORTEST_SECRET} bytes; try `openssl rand -hex 32`"
            )
        secrets += [secret] if secret else []
    if not secrets:
        raise ValueError("no token secret in the file; `openssl rand -hex 32` makes one")
    return secrets


def issue_token(
    secret: str, key_sha256: str, *, now: float, lifetime_seconds: int, session_seconds: int, jti: str
) -> str:
    """A token that opens sessions of up to `session_seconds` until `lifetime_seconds` after `now` (Unix time).

    `jti` is of this token alone: without it two tokens of one second would be one.
    """
    claims = {
        "exp": math.ceil(now + lifetime_seconds),
        "key": _key_mark(secret, key_sha256),
        "cap": session_seconds,
        "jti": jti,
    }
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)


def read_token(text: str, secrets: Sequence[str], now: float) -> Token | None:
    """What `text` allows at `now` (Unix time); None where it is no token of ours. Raises TokenExpired."""
    if len(text) > _LONGEST or not _SHAPE.fullmatch(text):
        return None
    for secret in secrets:
        try:
            # The time is judged below, by the caller's clock.
            payload = jwt.decode(text, secret, algorithms=[_ALGORITHM], options={"verify_exp": False})
            claims = _Claims.model_validate(payload)
        except (jwt.PyJWTError, ValidationError):
            continue
        if now >= claims.exp:
            raise TokenExpired
        signed = text.rpartition(".")[0]
        return Token(claims.cap, hashlib.sha256(signed.encode()).hexdigest(), claims.exp, claims.key, secret)
    return None


def _key_mark(secret: str, key_sha256: str) -> str:
    """Tells one key from the others to who has the secret, and nothing to anybody else."""
    return hmac.new(secret.encode(), f"key:{key_sha256}".encode(), hashlib.sha256).hexdigest()[:32]

"""Issuing and verifying a licence: a JWT, verified offline with pinned public keys. Time is always an argument."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt import PyJWS
from jwt.exceptions import PyJWTError
from pydantic import ValidationError

from license_token.claims import AUDIENCE, Claims
from license_token.errors import (
    LicenseExpired,
    LicenseForged,
    LicenseMalformed,
    LicenseNotYetValid,
    LicenseWrongAudience,
)
from license_token.keys import PinnedKey, PublicKeys

ALGORITHMS = ("EdDSA", "RS256", "ES256")
DEFAULT_LEEWAY = timedelta(seconds=60)
MAX_TOKEN_CHARS = 16384
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
_JWS = PyJWS(algorithms=ALGORITHMS)


def issue(claims: Claims, private_key: Ed25519PrivateKey, key_id: str) -> str:
    """Sign `claims` with EdDSA; the token names the key by `key_id`."""
    payload = json.dumps(claims.payload(), separators=(",", ":")).encode()
    return _JWS.encode(payload, private_key, algorithm="EdDSA", headers={"kid": key_id})


def verify(token: str, keys: PublicKeys, now: datetime, leeway: timedelta = DEFAULT_LEEWAY) -> Claims:
    """The claims of a genuine licence that is valid at `now` (aware), clocks differing by up to `leeway`.

    Raises LicenseMalformed, LicenseForged, LicenseWrongAudience, LicenseExpired or LicenseNotYetValid.
    """
    claims = verify_genuine(token, keys)
    check_time(claims, now, leeway)
    return claims


def check_time(claims: Claims, now: datetime, leeway: timedelta = DEFAULT_LEEWAY) -> None:
    """Raises LicenseExpired or LicenseNotYetValid where `now` is outside of the claims' validity."""
    if now >= claims.expires_at + leeway:
        raise LicenseExpired(claims)
    if now < claims.valid_from - leeway:
        raise LicenseNotYetValid(claims)


def verify_genuine(token: str, keys: PublicKeys) -> Claims:
    """The claims of a licence that a pinned key signed for us, whatever the time.

    Raises LicenseMalformed, LicenseForged or LicenseWrongAudience.
    """
    header, payload = _parts(token)
    candidates = _candidates(header, keys)
    if not any(_is_signed_by(token, pinned) for pinned in candidates):
        raise LicenseForged("the signature does not match; the licence was altered or signed by somebody else")
    claims = _claims(_object(payload))
    if claims.audience != AUDIENCE:
        raise LicenseWrongAudience(f"the licence is for {claims.audience!r}, not for {AUDIENCE!r}")
    return claims


def unverified_claims(token: str) -> dict[str, Any]:
    """What a token says about itself, to be shown and never to be trusted. Raises LicenseMalformed."""
    return _object(_parts(token)[1])


def _parts(token: str) -> tuple[dict[str, Any], bytes]:
    """The header and the payload, neither of them verified."""
    if len(token) > MAX_TOKEN_CHARS:
        raise LicenseMalformed(f"longer than {MAX_TOKEN_CHARS} characters")
    if not token:
        raise LicenseMalformed("empty")
    if not _SHAPE.fullmatch(token):
        raise LicenseMalformed("not a JWT of three parts")
    try:
        decoded = _JWS.decode_complete(token, options={"verify_signature": False})
    except (PyJWTError, ValueError, RecursionError):
        raise LicenseMalformed("not a JWT, or cut short") from None
    return decoded["header"], decoded["payload"]


def _object(payload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        raise LicenseMalformed("its claims are not JSON") from None
    if not isinstance(document, dict):
        raise LicenseMalformed("its claims are not an object")
    return document


def _candidates(header: dict[str, Any], keys: PublicKeys) -> list[PinnedKey]:
    """The pinned keys that may have signed; each only with the algorithm it is pinned to."""
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise LicenseForged(f"its algorithm is not one of {', '.join(ALGORITHMS)}")
    key_id = header.get("kid")
    named = [pinned for pinned in keys.keys if key_id is None or pinned.key_id == key_id]
    if not named:
        raise LicenseForged("it is signed with a key that is not among the pinned public keys")
    fitting = [pinned for pinned in named if pinned.algorithm == algorithm]
    if not fitting:
        raise LicenseForged(f"it claims {algorithm}, which is not what its key is pinned to")
    return fitting


def _is_signed_by(token: str, pinned: PinnedKey) -> bool:
    try:
        _JWS.decode_complete(token, key=pinned.key, algorithms=[pinned.algorithm])
    except PyJWTError:
        return False
    return True


def _claims(payload: dict[str, Any]) -> Claims:
    try:
        return Claims.model_validate(payload)
    except ValidationError as refused:
        first = refused.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "claims"
        raise LicenseMalformed(f"claim {field}: {first['msg']}", "ask the issuer to correct it") from None

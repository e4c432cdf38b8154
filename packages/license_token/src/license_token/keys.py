"""Keys: one private key that signs, and the pinned public keys that verify.

Private keys are JWK files that only their owner may read; public keys are a JWKS.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from license_token.errors import KeyFileInvalid
from license_token.files import create_private, read_small

PublicKey = Ed25519PublicKey | RSAPublicKey | EllipticCurvePublicKey
_MIN_RSA_BITS = 2048
_THUMBPRINT_MEMBERS = {"OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True)
class PinnedKey:
    """A public key with the one algorithm it may be used with, so that a token can never choose another."""

    key_id: str
    algorithm: str
    key: PublicKey
    jwk: Mapping[str, str]


@dataclass(frozen=True)
class PublicKeys:
    """The public keys that licences are verified with; at least one."""

    keys: tuple[PinnedKey, ...]

    @classmethod
    def from_json(cls, text: str) -> "PublicKeys":
        """Read a JWKS. Raises KeyFileInvalid."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise KeyFileInvalid("not JSON; it must be a JWKS: {'keys': [...]}") from None
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list) or not entries:
            raise KeyFileInvalid("no list 'keys' with at least one key; it must be a JWKS: {'keys': [...]}")
        return cls(tuple(_pinned(entry, f"keys[{index}]") for index, entry in enumerate(entries)))

    def joined(self, other: "PublicKeys") -> "PublicKeys":
        """These keys and those of `other` that are not among them, as while an issuer's key is being replaced."""
        known = {pinned.key_id for pinned in self.keys}
        return PublicKeys((*self.keys, *(pinned for pinned in other.keys if pinned.key_id not in known)))

    def to_json(self) -> str:
        """The JWKS, with a newline at the end."""
        return json.dumps({"keys": [dict(pinned.jwk) for pinned in self.keys]}, indent=2) + "\n"


@dataclass(frozen=True)
class SigningKey:
    """A private Ed25519 key and its id, which is the RFC 7638 thumbprint of its public half."""

    key_id: str
    private_key: Ed25519PrivateKey

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new random key."""
        private_key = Ed25519PrivateKey.generate()
        return cls(_thumbprint(_public_jwk(private_key)), private_key)

    @classmethod
    def from_json(cls, text: str) -> "SigningKey":
        """Read a private JWK (OKP, Ed25519). Raises KeyFileInvalid."""
        try:
            jwk = json.loads(text)
            if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or "d" not in jwk:
                raise KeyFileInvalid("not a private Ed25519 JWK (kty OKP, crv Ed25519, d)")
            private_key = PyJWK.from_dict(jwk, "EdDSA").key
        except (ValueError, RecursionError, PyJWTError):
            raise KeyFileInvalid("not a private Ed25519 JWK (kty OKP, crv Ed25519, d)") from None
        if not isinstance(private_key, Ed25519PrivateKey):
            raise KeyFileInvalid("not an Ed25519 key")
        return cls(_thumbprint(_public_jwk(private_key)), private_key)

    def to_json(self) -> str:
        """The private JWK: keep it secret."""
        secret = _base64url(self.private_key.private_bytes_raw())
        return json.dumps({**self._jwk(), "d": secret}, indent=2) + "\n"

    def public_keys(self) -> PublicKeys:
        """The public half, as a JWKS of one."""
        jwk = self._jwk()
        return PublicKeys((PinnedKey(self.key_id, "EdDSA", self.private_key.public_key(), jwk),))

    def _jwk(self) -> dict[str, str]:
        return {**_public_jwk(self.private_key), "kid": self.key_id, "alg": "EdDSA", "use": "sig"}


def load_signing_key(path: Path) -> SigningKey:
    """Read a private key. Raises KeyFileInvalid naming the path; FileNotFoundError when there is none."""
    try:
        return SigningKey.from_json(read_small(path).decode())
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise KeyFileInvalid(f"{path}: unreadable ({error}); give this user read permission") from None
    except KeyFileInvalid as error:
        raise KeyFileInvalid(f"{path}: {error}; restore it, or move it away to have a new key made") from None


def load_or_create_signing_key(path: Path) -> SigningKey:
    """The key at `path`, made on first use (mode 0600); two callers at once get the same one. Raises KeyFileInvalid."""
    try:
        return load_signing_key(path)
    except FileNotFoundError:
        pass
    key = SigningKey.generate()
    return key if create_private(path, key.to_json()) else load_signing_key(path)


def load_public_keys(path: Path) -> PublicKeys:
    """Read a JWKS file. Raises KeyFileInvalid naming the path."""
    try:
        return PublicKeys.from_json(read_small(path).decode())
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise KeyFileInvalid(f"{path}: {reason}; it must be the issuer's public keys (JWKS)") from None
    except KeyFileInvalid as error:
        raise KeyFileInvalid(f"{path}: {error}") from None


def _pinned(entry: object, where: str) -> PinnedKey:
    if not isinstance(entry, dict) or entry.get("kty") not in _THUMBPRINT_MEMBERS:
        raise KeyFileInvalid(f"{where}.kty must be OKP, RSA or EC; shared secrets are never accepted")
    if _PRIVATE_MEMBERS & entry.keys():
        raise KeyFileInvalid(f"{where} holds a private key; publish only its public half and make a new key")
    try:
        parsed = PyJWK.from_dict(entry)
    except (PyJWTError, ValueError, TypeError):
        raise KeyFileInvalid(f"{where} is not a public key that we can read") from None
    algorithm = _algorithm_of(parsed.key)
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("use", "sig") != "sig":
        raise KeyFileInvalid(f"{where} must be Ed25519 (EdDSA), RSA of 2048 bits or more (RS256) or P-256 (ES256)")
    key_id = entry.get("kid", _thumbprint(entry))
    if not isinstance(key_id, str):
        raise KeyFileInvalid(f"{where}.kid must be text")
    return PinnedKey(key_id, algorithm, parsed.key, {**entry, "kid": key_id})


def _algorithm_of(key: object) -> str | None:
    if isinstance(key, Ed25519PublicKey):
        return "EdDSA"
    if isinstance(key, RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
        return "RS256"
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return "ES256"
    return None


def _public_jwk(private_key: Ed25519PrivateKey) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(private_key.public_key().public_bytes_raw())}


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    members = {name: jwk[name] for name in _THUMBPRINT_MEMBERS[jwk["kty"]]}
    return _base64url(hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

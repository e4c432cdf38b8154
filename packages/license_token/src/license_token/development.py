"""A licence that users make for their own machine, so that nothing has to be asked of anybody to try the stack."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from license_token.claims import ALL_MODELS, AUDIENCE, Billing, Claims
from license_token.errors import LicenseError
from license_token.files import read_small, replace_private
from license_token.keys import PublicKeys, load_or_create_signing_key
from license_token.token import issue, verify

LIFETIME = timedelta(days=30)
RENEW_WHEN_LEFT = timedelta(days=7)
TRUST_WINDOW = timedelta(days=4)
ISSUER = "streamingstack-development"


@dataclass(frozen=True)
class DevelopmentLicense:
    """Where the licence and the public keys that verify it lie."""

    license_path: Path
    jwks_path: Path


def development_claims(customer: str, now: datetime, lifetime: timedelta = LIFETIME) -> Claims:
    """Every model, no session limit, flat billing, valid from `now` (aware)."""
    return Claims(
        license_id=str(uuid.uuid4()),
        issuer=ISSUER,
        audience=AUDIENCE,
        customer=customer,
        issued_at=now.replace(microsecond=0),
        expires_at=now.replace(microsecond=0) + lifetime,
        billing=Billing.FLAT,
        models=ALL_MODELS,
        trust_window_seconds=int(TRUST_WINDOW.total_seconds()),
        development=True,
    )


def development_license(state_dir: Path, stack_name: str, now: datetime | None = None) -> DevelopmentLicense:
    """A development licence in `<state_dir>/license`: kept while more than 7 days are left, else issued for 30 days.

    `now` is the current time unless given.
    Raises KeyFileInvalid for a damaged signing key, OSError where nothing can be written.
    """
    now = now or datetime.now(UTC)
    folder = state_dir / "license"
    made = DevelopmentLicense(folder / "license.jwt", folder / "public-keys.json")
    key = load_or_create_signing_key(folder / "signing-key.jwk")
    keys = key.public_keys()
    _write_if_other(made.jwks_path, keys.to_json())
    if not _is_fresh(made.license_path, keys, stack_name, now):
        token = issue(development_claims(stack_name, now), key.private_key, key.key_id)
        replace_private(made.license_path, token + "\n")
    return made


def _is_fresh(path: Path, keys: PublicKeys, customer: str, now: datetime) -> bool:
    try:
        claims = verify(read_small(path).decode().strip(), keys, now)
    except (OSError, ValueError, LicenseError):
        return False
    return claims.customer == customer and claims.expires_at - now > RENEW_WHEN_LEFT


def _write_if_other(path: Path, text: str) -> None:
    try:
        if read_small(path).decode() == text:
            return
    except (OSError, ValueError):
        pass
    replace_private(path, text, mode=0o644)

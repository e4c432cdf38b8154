"""Licence tokens: claims, issuing, offline verification with pinned public keys."""

from license_token.claims import ALL_MODELS, AUDIENCE, Billing, Claims
from license_token.development import DevelopmentLicense, development_claims, development_license
from license_token.errors import (
    KeyFileInvalid,
    LicenseError,
    LicenseExpired,
    LicenseForged,
    LicenseMalformed,
    LicenseNotYetValid,
    LicenseWrongAudience,
)
from license_token.keys import (
    PublicKeys,
    SigningKey,
    load_or_create_signing_key,
    load_public_keys,
    load_signing_key,
)
from license_token.token import DEFAULT_LEEWAY, check_time, issue, unverified_claims, verify, verify_genuine

__all__ = [
    "ALL_MODELS",
    "AUDIENCE",
    "DEFAULT_LEEWAY",
    "Billing",
    "Claims",
    "DevelopmentLicense",
    "KeyFileInvalid",
    "LicenseError",
    "LicenseExpired",
    "LicenseForged",
    "LicenseMalformed",
    "LicenseNotYetValid",
    "LicenseWrongAudience",
    "PublicKeys",
    "SigningKey",
    "check_time",
    "development_claims",
    "development_license",
    "issue",
    "load_or_create_signing_key",
    "load_public_keys",
    "load_signing_key",
    "unverified_claims",
    "verify",
    "verify_genuine",
]

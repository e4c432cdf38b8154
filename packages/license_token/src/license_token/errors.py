"""Why a licence or a key file was refused; every error names the remedy."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from license_token.claims import Claims


class LicenseError(Exception):
    """A licence that is refused. `problem` says why, `remedy` what to do; neither holds any part of the token."""

    remedy = "ask your vendor for a new licence"

    def __init__(self, problem: str, remedy: str | None = None) -> None:
        self.problem = problem
        self.remedy = remedy or self.remedy
        super().__init__(f"{problem}; {self.remedy}")


class LicenseMalformed(LicenseError):
    """Not a licence at all: cut short, not a JWT, or with claims that make no sense."""

    remedy = "copy the whole licence again, as one line of three parts joined by dots"


class LicenseForged(LicenseError):
    """Not signed by any of the pinned keys: altered, unknown key, no signature, or an algorithm we never accept."""

    remedy = "use the licence as it was issued, and the public keys of its issuer"


class LicenseWrongAudience(LicenseError):
    """Genuine, but issued for another product."""

    remedy = "use the licence that was issued for StreamingStack"


class LicenseExpired(LicenseError):
    """Genuine, but over; `claims` are to be trusted."""

    remedy = "renew it and replace the file; a running licence proxy takes the new one without a restart"

    def __init__(self, claims: "Claims") -> None:
        self.claims = claims
        super().__init__(f"the licence of {claims.customer!r} expired at {claims.expires_at.isoformat()}")


class LicenseNotYetValid(LicenseError):
    """Genuine, but its time has not come; `claims` are to be trusted."""

    remedy = "check this machine's clock, or wait"

    def __init__(self, claims: "Claims") -> None:
        self.claims = claims
        super().__init__(f"the licence of {claims.customer!r} is valid only from {claims.valid_from.isoformat()}")


class KeyFileInvalid(Exception):
    """A file of keys that cannot be used; the message names the problem and the remedy, never a key."""

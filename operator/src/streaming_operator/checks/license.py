"""LicenseValid: may new sessions be opened? Live ones go on whatever the answer is. Pure."""

from datetime import UTC, datetime, timedelta

from stack_model.api.status import Reason

from streaming_operator.checks.finding import Check, Finding, View, first, quoted

_SOON = timedelta(days=14)
_MEANWHILE = "new sessions are refused, open ones go on"


def license_valid(view: View) -> Finding:
    """The Secret first, then what the licence proxies made of it."""
    checks = _VENDOR if view.vendor else _CHECKS
    return first(view, checks, Finding(Reason.VALID, _valid(view), "True"))


def _valid(view: View) -> str:
    expires = view.inputs.license.expires
    return (
        f"the licence is genuine and ends on {_day(expires)}" if expires else "the licence proxies accept the licence"
    )


def _secret(view: View) -> str:
    return f"Secret {view.namespace}/{view.stack.spec.license.secret_name}"


def _secret_is_missing(view: View) -> Finding | None:
    if view.inputs.license.state != "Missing":
        return None
    key = view.stack.spec.license.key
    return Finding(
        Reason.SECRET_MISSING,
        f"{_secret(view)} with key {key} is not there{_detail(view)}; create it from the licence file, or fix "
        f"spec.license; {_MEANWHILE}",
    )


def _has_no_public_keys(view: View) -> Finding | None:
    if view.inputs.license.state != "NoPublicKeys":
        return None
    license_ = view.stack.spec.license
    return Finding(
        Reason.NO_PUBLIC_KEYS,
        f"ConfigMap {view.namespace}/{license_.public_keys_config_map} with key {license_.public_keys_key} holds no "
        f"public key of the issuer{_detail(view)}; create it from the key set that came with the licence; {_MEANWHILE}",
    )


def _is_unreadable(view: View) -> Finding | None:
    if view.inputs.license.state != "Unreadable":
        return None
    return Finding(
        Reason.UNREADABLE,
        f"{_secret(view)} holds no licence that can be read{_detail(view)}; put the licence file there unchanged: "
        f"streamingstack license inspect FILE shows it; {_MEANWHILE}",
    )


def _is_forged(view: View) -> Finding | None:
    if view.inputs.license.state != "Forged":
        return None
    license_ = view.stack.spec.license
    return Finding(
        Reason.FORGED,
        f"the licence in {_secret(view)} was not issued by a holder of the keys in ConfigMap "
        f"{license_.public_keys_config_map}{_detail(view)}; use the licence and the keys of one issuer; {_MEANWHILE}",
    )


def _has_expired(view: View) -> Finding | None:
    expires = view.inputs.license.expires
    if expires is None or expires > view.now:
        return None
    return Finding(
        Reason.EXPIRED,
        f"the licence in {_secret(view)} ended on {_day(expires)}; put the renewed one there, it is taken in place; "
        f"{_MEANWHILE}",
    )


def _check_in_failed(view: View) -> Finding | None:
    if view.observed.license_state != "Failed":
        return None
    return Finding(
        Reason.CHECK_IN_FAILED,
        "the licence proxies could not confirm the licence within its trust window; check "
        "spec.licenseProxy.checkInEndpoint, spec.networkIsolation.egressCidrs and the issuer; "
        f"{'' if view.vendor else _MEANWHILE}".rstrip("; "),
    )


def _is_trust_based(view: View) -> Finding | None:
    if view.observed.license_state != "TrustBased":
        return None
    until = view.observed.trust_expiration
    return Finding(
        Reason.TRUST_BASED,
        f"the last check-in failed; the licence is trusted until {_minute(until) if until else 'the window ends'}; "
        "check spec.licenseProxy.checkInEndpoint and spec.networkIsolation.egressCidrs before that",
        "True",
    )


def _expires_soon(view: View) -> Finding | None:
    expires = view.inputs.license.expires
    if expires is None or expires - view.now > _SOON:
        return None
    return Finding(
        Reason.EXPIRES_SOON,
        f"the licence in {_secret(view)} ends on {_day(expires)}; put the renewed one there, it is taken in place",
        "True",
    )


def _vendor_is_unheard(view: View) -> Finding | None:
    """The vendor's licence is for the vendor's proxy to judge: nothing is known until one answers."""
    if view.observed.license_state is not None:
        return None
    return Finding(
        Reason.LICENSE_PROXY_UNAVAILABLE,
        "no licence proxy has told the licence's state yet; see GatewayAvailable",
        "Unknown",
    )


def _detail(view: View) -> str:
    return f" ({quoted(view.inputs.license.detail)})" if view.inputs.license.detail else ""


def _day(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d")


def _minute(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


_CHECKS: tuple[Check, ...] = (
    _secret_is_missing,
    _has_no_public_keys,
    _is_unreadable,
    _is_forged,
    _has_expired,
    _check_in_failed,
    _is_trust_based,
    _expires_soon,
)
_VENDOR: tuple[Check, ...] = (_secret_is_missing, _check_in_failed, _is_trust_based, _vendor_is_unheard)

"""CA and certificate are made, renewed in time, and never signed by a CA that nobody has heard of."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_adapter.certificates import CA_LIFETIME, OVERLAP, SERVING_LIFETIME, Identity, expires, renewed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "adapter.system.svc"


def _new(at: datetime = NOW) -> Identity:
    found = renewed(None, NAME, at)
    assert found is not None
    return found


def _authorities(identity: Identity) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(identity.authorities.encode())


def _verify(identity: Identity, trusted: str) -> None:
    """Raises where a caller that trusts those CAs would refuse what is shown."""
    shown = x509.load_pem_x509_certificate(identity.certificate.encode())
    for authority in x509.load_pem_x509_certificates(trusted.encode()):
        if authority.subject == shown.issuer:
            shown.verify_directly_issued_by(authority)
            return
    raise AssertionError("nobody who trusts these CAs knows who signed it")


def test_the_first_is_for_the_services_name_and_needs_nothing_more() -> None:
    identity = _new()
    _verify(identity, identity.authorities)
    shown = x509.load_pem_x509_certificate(identity.certificate.encode())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    assert renewed(identity, NAME, NOW) is None
    assert expires(identity.certificate) == NOW + SERVING_LIFETIME


def test_the_certificate_is_renewed_by_the_same_ca_when_a_third_of_its_time_is_left() -> None:
    identity = _new()
    assert renewed(identity, NAME, NOW + SERVING_LIFETIME * 0.6) is None
    later = renewed(identity, NAME, NOW + SERVING_LIFETIME * 0.7)
    assert later is not None
    assert later.authorities == identity.authorities
    assert later.certificate != identity.certificate
    _verify(later, identity.authorities)


def test_a_new_ca_is_published_first_and_signs_only_after_the_overlap() -> None:
    due = NOW + CA_LIFETIME * 0.668
    identity = _latest(_new(), NOW, due - timedelta(days=3))
    published = renewed(identity, NAME, due)
    assert published is not None
    assert len(_authorities(published)) == 2
    assert (published.certificate, published.key) == (identity.certificate, identity.key)
    assert renewed(published, NAME, due + OVERLAP / 2) is None
    signed = renewed(published, NAME, due + OVERLAP)
    assert signed is not None
    assert signed.authorities == published.authorities
    _verify(signed, published.authorities)
    with pytest.raises(AssertionError, match="nobody"):
        _verify(signed, identity.authorities)
    assert renewed(signed, NAME, due + OVERLAP) is None
    forgotten = _latest(signed, due + OVERLAP, NOW + CA_LIFETIME + timedelta(days=1))
    assert len(_authorities(forgotten)) == 1


def _latest(identity: Identity, begin: datetime, end: datetime) -> Identity:
    """Looked at twice a day."""
    at = begin
    while at < end:
        at += timedelta(hours=12)
        identity = renewed(identity, NAME, at) or identity
    return identity


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.02, 12), min_size=30, max_size=120))
def test_whoever_heard_of_the_cas_an_hour_ago_believes_what_is_shown(days: list[float]) -> None:
    identity, at = _new(), NOW
    told = [(at, identity.authorities)]
    for pause in days:
        at += timedelta(days=pause)
        while (later := renewed(identity, NAME, at)) is not None:
            identity = later
            told.append((at, identity.authorities))
        heard = [authorities for when, authorities in told if when <= at - timedelta(hours=1)] or [told[0][1]]
        _verify(identity, heard[-1])
        assert expires(identity.certificate) > at


@pytest.mark.parametrize("broken", ["authorities", "authority_key", "certificate", "key"])
@pytest.mark.parametrize("content", ["", "no PEM", "another's"])
def test_what_cannot_be_used_is_made_anew(broken: str, content: str) -> None:
    identity, other = _new(), _new()
    text = getattr(other, broken) if content == "another's" else content
    made = renewed(Identity(**(vars(identity) | {broken: text})), NAME, NOW)
    assert made is not None
    _verify(made, made.authorities)


def test_a_key_of_another_kind_is_made_anew() -> None:
    rsa = trustme.CA(key_type=trustme.KeyType.RSA)
    identity = Identity(**(vars(_new()) | {"authority_key": rsa.private_key_pem.bytes().decode()}))
    assert renewed(identity, NAME, NOW) is not None


def test_another_name_or_a_long_absence_gives_a_certificate_that_is_good() -> None:
    identity = _new()
    moved = renewed(identity, "other.system.svc", NOW)
    assert moved is not None
    assert moved.authorities == identity.authorities
    for away in (SERVING_LIFETIME * 1.5, CA_LIFETIME * 2):
        back = _settled(identity, NOW + away)
        assert expires(back.certificate) > NOW + away
        _verify(back, back.authorities)


def _settled(identity: Identity, at: datetime) -> Identity:
    while (later := renewed(identity, NAME, at)) is not None:
        identity = later
    return identity


def test_openssl_takes_it() -> None:
    identity = _new(datetime.now(UTC))
    ssl.create_default_context(cadata=identity.authorities)

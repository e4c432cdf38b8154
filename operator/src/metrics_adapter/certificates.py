"""The adapter's own CA and serving certificate: made, judged and renewed. Pure but for the keys' randomness.

Whoever trusts the old CA must hear of the new one before anything is signed by it. So a CA is followed long before its
end: the next one is published beside it, and signs only `OVERLAP` later. An old CA stays published until its end.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=730)
SERVING_LIFETIME = timedelta(days=90)
# Replaced when so much of its lifetime is left.
RENEWED_WITH = 1 / 3
# Longer than any replica or API server takes to hear of a new CA.
OVERLAP = timedelta(hours=1)
# Clocks that disagree a little must not refuse a new certificate.
_EARLIER = timedelta(minutes=5)


@dataclass(frozen=True)
class Identity:
    """What the replicas share, all PEM: the published CAs, the newest first; the newest one's key; what is shown."""

    authorities: str
    authority_key: str
    certificate: str
    key: str


def renewed(found: Identity | None, name: str, now: datetime) -> Identity | None:
    """What should take the place of `found`; None where it is well. `name` is the DNS name that callers expect."""
    if found is None:
        return _new(name, now)
    try:
        authorities = x509.load_pem_x509_certificates(found.authorities.encode())
        signer = _key(found.authority_key)
        shown = x509.load_pem_x509_certificate(found.certificate.encode())
        intact = _key(found.key).public_key() == shown.public_key() and signer.public_key() == _newest(authorities)
    except (ValueError, TypeError, IndexError):
        return _new(name, now)
    alive = [authority for authority in authorities if authority.not_valid_after_utc > now]
    if not intact or not alive or alive[0] != authorities[0]:
        return _new(name, now)
    newest = alive[0]
    if _is_due(newest, now):
        following, following_key = _authority(now)
        return Identity(_pem(following, *alive), _private(following_key), found.certificate, found.key)
    # A new CA waits until everybody has heard of it, unless what is shown is of no use any more.
    trusted = len(alive) == 1 or now - newest.not_valid_before_utc - _EARLIER >= OVERLAP
    usable = _is_usable(shown, alive, name, now)
    if not usable or (trusted and (_is_due(shown, now) or shown.issuer != newest.subject)):
        certificate, key = _serving(name, newest, signer, now)
        return Identity(_pem(*alive), found.authority_key, certificate, key)
    if len(alive) < len(authorities):
        return Identity(_pem(*alive), found.authority_key, found.certificate, found.key)
    return None


def expires(certificate: str) -> datetime:
    """When the first of PEM certificates ends."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def _new(name: str, now: datetime) -> Identity:
    authority, key = _authority(now)
    certificate, shown_key = _serving(name, authority, key, now)
    return Identity(_pem(authority), _private(key), certificate, shown_key)


def _newest(authorities: list[x509.Certificate]) -> object:
    return authorities[0].public_key()


def _is_due(certificate: x509.Certificate, now: datetime) -> bool:
    end = certificate.not_valid_after_utc
    return end - now < (end - certificate.not_valid_before_utc) * RENEWED_WITH


def _is_usable(shown: x509.Certificate, authorities: list[x509.Certificate], name: str, now: datetime) -> bool:
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = name in names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return False
    signed = any(authority.subject == shown.issuer for authority in authorities)
    return known and signed and shown.not_valid_after_utc > now


def _authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own: a chain is looked for by name, and two CAs may be published at once.
    serial = x509.random_serial_number()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"streaming-metrics-adapter-{serial:x}"[:64])])
    certificate = (
        _begun(subject, subject, key, now, CA_LIFETIME)
        .serial_number(serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _serving(
    name: str, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey, now: datetime
) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    certificate = (
        _begun(subject, authority.subject, key, now, SERVING_LIFETIME)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    return _pem(certificate), _private(key)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + lifetime)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key(pem: str) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("no elliptic curve key")
    return key


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)

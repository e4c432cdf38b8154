"""Certificates and keys of a cluster, made in memory; `pki.py` keeps them in files.

Keys are P-256; the service account key is RSA, which every reader of tokens knows.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
# Clocks that disagree a little must not refuse a new certificate.
_EARLIER = timedelta(minutes=5)


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both as PEM text."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Authority:
    """A certificate authority."""

    pair: Pair

    def client(self, user: str, groups: Sequence[str] = (), *, now: datetime) -> Pair:
        """A client certificate: Kubernetes reads the user from CN and the groups from O."""
        subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject.append(x509.NameAttribute(NameOID.COMMON_NAME, user))
        return self._issue(x509.Name(subject), ExtendedKeyUsageOID.CLIENT_AUTH, (), now)

    def server(self, name: str, alternatives: Sequence[str], *, now: datetime) -> Pair:
        """A serving certificate for DNS names and IP addresses."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._issue(subject, ExtendedKeyUsageOID.SERVER_AUTH, alternatives, now)

    def _issue(
        self, subject: x509.Name, usage: x509.ObjectIdentifier, alternatives: Sequence[str], now: datetime
    ) -> Pair:
        issuer = x509.load_pem_x509_certificate(self.pair.certificate.encode())
        issuer_key = serialization.load_pem_private_key(self.pair.key.encode(), None)
        if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
            raise TypeError("the authority's key is no elliptic curve key")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _started(subject, now)
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        )
        if alternatives:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in alternatives]), critical=False
            )
        return _pair(builder.sign(issuer_key, hashes.SHA256()), key)


def authority(name: str, *, now: datetime) -> Authority:
    """A new certificate authority that signs only leaves."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _started(subject, now)
        .issuer_name(subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(_pair(certificate, key))


def signing_key() -> str:
    """The private key that signs service account tokens, as PEM text; its public half is derived by the API server."""
    return _pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def expires(certificate: str) -> datetime:
    """When a PEM certificate ends, with its time zone."""
    return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc


def _started(subject: x509.Name, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
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


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    return Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()

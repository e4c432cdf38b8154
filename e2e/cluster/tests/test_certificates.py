"""Certificates: what the cluster's authority signed verifies, and nothing else does."""

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import DNSName, IPAddress, load_pem_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from e2e_cluster import certificates
from e2e_cluster.pki import KeyStore

_NOW = datetime(2026, 1, 2, tzinfo=UTC)


def _store(authority: certificates.Authority) -> Store:
    return Store([load_pem_x509_certificate(authority.pair.certificate.encode())])


def test_a_serving_certificate_verifies_for_its_names_and_addresses_only() -> None:
    ca = certificates.authority("test", now=_NOW)
    leaf = load_pem_x509_certificate(ca.server("api", ("localhost", "198.18.0.1"), now=_NOW).certificate.encode())
    builder = PolicyBuilder().store(_store(ca)).time(_NOW)
    builder.build_server_verifier(DNSName("localhost")).verify(leaf, [])
    builder.build_server_verifier(IPAddress(ip_address("198.18.0.1"))).verify(leaf, [])
    with pytest.raises(VerificationError):
        builder.build_server_verifier(DNSName("elsewhere")).verify(leaf, [])


def test_a_client_certificate_carries_user_and_groups() -> None:
    ca = certificates.authority("test", now=_NOW)
    pair = ca.client("system:node:node1", ("system:nodes",), now=_NOW)
    leaf = load_pem_x509_certificate(pair.certificate.encode())
    assert [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["system:node:node1"]
    assert [name.value for name in leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:nodes"]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_another_authority_of_the_same_name_verifies_nothing() -> None:
    ca, other = (certificates.authority("test", now=_NOW) for _ in range(2))
    leaf = load_pem_x509_certificate(ca.server("api", ("localhost",), now=_NOW).certificate.encode())
    with pytest.raises(VerificationError):
        PolicyBuilder().store(_store(other)).time(_NOW).build_server_verifier(DNSName("localhost")).verify(leaf, [])


def test_keys_are_made_once_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "pki")
    ca = keys.authority("ca")
    first = keys.client(ca, "admin", "admin")
    assert keys.authority("ca") == ca
    assert keys.client(ca, "admin", "somebody else") == first
    assert keys.signing_key("tokens").read_text() == keys.signing_key("tokens").read_text()
    for file in (tmp_path / "pki").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_authority_about_to_end_is_made_anew_with_all_that_it_signed(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path)
    old = certificates.authority("ca", now=datetime.now(UTC) - certificates.LIFETIME + timedelta(days=1))
    (tmp_path / "ca.crt").write_text(old.pair.certificate)
    (tmp_path / "ca.key").write_text(old.pair.key)
    before = keys.client(old, "admin", "admin")
    ca = keys.authority("ca")
    assert ca != old
    assert keys.client(ca, "admin", "admin") != before

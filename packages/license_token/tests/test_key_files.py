"""Keys on disk are private, are made once, and are never replaced behind their owner's back."""

import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from license_token import (
    KeyFileInvalid,
    SigningKey,
    development_license,
    load_or_create_signing_key,
    load_public_keys,
    load_signing_key,
    verify,
)

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_signing_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key.jwk"
    key = load_or_create_signing_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_create_signing_key(path).key_id == load_signing_key(path).key_id == key.key_id
    assert [entry.name for entry in path.parent.iterdir()] == ["key.jwk"]


def test_many_that_make_the_key_at_once_get_the_same_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        made = pool.map(lambda _: load_or_create_signing_key(tmp_path / "key.jwk").key_id, range(64))
    assert len(set(made)) == 1


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"\xff\xfe", b'{"kty": "OKP", "crv": "Ed25519", "d": "AA"}', b"[" * 9999]
)
def test_a_damaged_signing_key_is_an_error_that_names_it_and_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.jwk"
    path.write_bytes(content)
    with pytest.raises(KeyFileInvalid, match=r"key\.jwk"):
        load_or_create_signing_key(path)
    assert path.read_bytes() == content


def test_a_signing_key_survives_the_way_through_its_file() -> None:
    key = SigningKey.generate()
    assert SigningKey.from_json(key.to_json()).public_keys() == key.public_keys()


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_public_keys_that_cannot_be_read_name_their_path(tmp_path: Path, make: object) -> None:
    path = tmp_path / "keys.json"
    make(path)  # type: ignore[operator]
    with pytest.raises(KeyFileInvalid, match=r"keys\.json"):
        load_public_keys(path)


@pytest.mark.parametrize(
    ("later", "renewed"),
    [(timedelta(0), False), (timedelta(days=22), False), (timedelta(days=24), True), (timedelta(days=400), True)],
)
def test_a_development_licence_is_kept_while_more_than_a_week_is_left(
    tmp_path: Path, later: timedelta, renewed: bool
) -> None:
    made = development_license(tmp_path, "demo", NOW)
    before = made.license_path.read_text()
    assert development_license(tmp_path, "demo", NOW + later) == made
    assert (made.license_path.read_text() != before) is renewed
    claims = verify(made.license_path.read_text().strip(), load_public_keys(made.jwks_path), NOW + later)
    assert claims.expires_at - (NOW + later) > timedelta(days=7)
    assert (claims.customer, claims.models, claims.development) == ("demo", "*", True)


@pytest.mark.parametrize("damage", ["license.jwt", "public-keys.json"])
def test_a_damaged_development_licence_is_made_again(tmp_path: Path, damage: str) -> None:
    made = development_license(tmp_path, "demo", NOW)
    (tmp_path / "license" / damage).write_text("x")
    assert development_license(tmp_path, "demo", NOW) == made
    assert verify(made.license_path.read_text().strip(), load_public_keys(made.jwks_path), NOW).customer == "demo"


def test_no_private_key_is_in_what_the_proxy_reads(tmp_path: Path) -> None:
    made = development_license(tmp_path, "demo", NOW)
    assert '"d"' not in made.jwks_path.read_text()
    assert stat.S_IMODE(made.license_path.stat().st_mode) == 0o600

"""The licence on disk is read with care and followed without ever getting worse."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from license_proxy.license_file import Followed, LicenseFiles, LicenseUnusable, Outcome, look_again
from license_token import SigningKey


@pytest.fixture
def files(tmp_path: Path, issuer: Any) -> LicenseFiles:
    (tmp_path / "keys.json").write_text(issuer.key.public_keys().to_json())
    (tmp_path / "license.jwt").write_text(issuer.token())
    return LicenseFiles(tmp_path / "license.jwt", tmp_path / "keys.json")


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Permissions mean nothing to root, who becomes nobody for the while."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    yield
    os.seteuid(own)


def follow(followed: Followed, files: LicenseFiles, issuer: Any, token: str | None) -> tuple[Followed, Outcome]:
    if token is None:
        files.license_path.unlink()
    else:
        files.license_path.write_text(token)
    return look_again(followed, files, issuer.now)


@pytest.fixture
def unreadable(issuer: Any) -> Iterator[LicenseFiles]:
    """A licence that nobody may read, in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        files = LicenseFiles(folder / "license.jwt", folder / "keys.json")
        files.keys_path.write_text(issuer.key.public_keys().to_json())
        files.license_path.write_text(issuer.token())
        files.license_path.chmod(0)
        yield files


def test_a_file_without_permission_is_refused_with_its_path(unreadable: LicenseFiles, as_nobody: None) -> None:
    with pytest.raises(LicenseUnusable, match=f"{unreadable.license_path}: Permission denied"):
        unreadable.read()


def unsigned(token: str) -> str:
    """The licence with `alg: none` and no signature."""
    return "eyJhbGciOiJub25lIn0." + token.split(".")[1] + "."


def altered(token: str) -> str:
    head, payload, signature = token.split(".")
    at = len(payload) // 2
    return f"{head}.{payload[:at]}{'A' if payload[at] != 'A' else 'B'}{payload[at + 1 :]}.{signature}"


def keys_private(files: LicenseFiles, issuer: Any) -> None:
    files.keys_path.write_text(json.dumps({"keys": [json.loads(issuer.key.to_json())]}))


REFUSED: dict[str, tuple[Callable[[LicenseFiles, Any], object], str, str]] = {
    "binary": (lambda files, _: files.license_path.write_bytes(b"\x00\xff" * 50), "license.jwt", "not a licence"),
    "blank": (lambda files, _: files.license_path.write_text(" \n"), "license.jwt", "empty"),
    "huge": (lambda files, _: files.license_path.write_bytes(b"x" * (2 << 20)), "license.jwt", "not a licence"),
    "cut": (lambda files, i: files.license_path.write_text(i.token()[:-9]), "license.jwt", "licence"),
    "altered": (lambda files, i: files.license_path.write_text(altered(i.token())), "license.jwt", "does not match"),
    "unsigned": (lambda files, i: files.license_path.write_text(unsigned(i.expired())), "license.jwt", "algorithm"),
    "foreign": (lambda files, i: files.license_path.write_text(i.token(audience="other")), "license.jwt", "'other'"),
    "keys missing": (lambda files, _: files.keys_path.unlink(), "keys.json", "LICENSE_PUBLIC_KEYS_PATH"),
    "keys private": (keys_private, "keys.json", "private key"),
}


@pytest.mark.parametrize(("spoil", "file", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_genuine_is_refused_in_one_line_with_its_path_and_a_remedy(
    files: LicenseFiles, issuer: Any, spoil: Callable[[LicenseFiles, Any], object], file: str, said: str
) -> None:
    spoil(files, issuer)
    with pytest.raises(LicenseUnusable) as refused:
        files.read()
    text = str(refused.value)
    assert str(files.license_path.parent / file) in text
    assert said in text
    assert "; " in text
    assert "\n" not in text
    assert json.loads(issuer.key.to_json())["d"] not in text


def test_a_new_licence_is_taken(files: LicenseFiles, issuer: Any) -> None:
    followed, outcome = follow(Followed(issuer.claims()), files, issuer, issuer.token(session_limit=7))
    assert (outcome, followed.claims.session_limit, followed.problem) == (Outcome.RENEWED, 7, None)


@pytest.mark.parametrize(
    "replacement",
    [lambda i: None, lambda i: "", lambda i: i.token()[:99], lambda i: i.token(SigningKey.generate())],
    ids=["gone", "empty", "truncated", "forged"],
)
def test_a_replacement_that_is_not_genuine_is_refused_and_said_once(
    files: LicenseFiles, issuer: Any, replacement: Callable[[Any], str | None]
) -> None:
    first = Followed(files.read())
    followed, outcome = follow(first, files, issuer, replacement(issuer))
    assert (outcome, followed.claims) == (Outcome.REFUSED, first.claims)
    assert str(files.license_path) in (followed.problem or "")
    assert look_again(followed, files, issuer.now) == (followed, Outcome.UNCHANGED)


def test_keys_that_vanish_leave_the_licence_in_force(files: LicenseFiles, issuer: Any) -> None:
    first = Followed(files.read())
    files.keys_path.unlink()
    followed, outcome = look_again(first, files, issuer.now)
    assert (outcome, followed.claims) == (Outcome.REFUSED, first.claims)


def test_a_renewal_put_in_place_early_waits_for_its_time(files: LicenseFiles, issuer: Any) -> None:
    first = Followed(files.read())
    early = issuer.token(not_before=issuer.now + timedelta(days=9), session_limit=9)
    followed, outcome = follow(first, files, issuer, early)
    assert (outcome, followed.claims) == (Outcome.HELD_BACK, first.claims)
    followed, outcome = look_again(followed, files, issuer.now + timedelta(days=9))
    assert (outcome, followed.claims.session_limit) == (Outcome.RENEWED, 9)


def test_an_expired_licence_never_replaces_a_valid_one_but_may_replace_another_expired_one(
    files: LicenseFiles, issuer: Any
) -> None:
    valid = Followed(files.read())
    followed, outcome = follow(valid, files, issuer, issuer.expired())
    assert (outcome, followed.claims) == (Outcome.HELD_BACK, valid.claims)
    over = Followed(files.read())
    followed, outcome = follow(over, files, issuer, issuer.expired(session_limit=3))
    assert (outcome, followed.claims.session_limit) == (Outcome.RENEWED, 3)


def test_a_problem_mended_is_forgotten_and_said_again_when_it_comes_back(files: LicenseFiles, issuer: Any) -> None:
    good = files.license_path.read_text()
    followed = Followed(files.read())
    outcomes = []
    for text in ("x", good, "x"):
        followed, outcome = follow(followed, files, issuer, text)
        outcomes.append(outcome)
    assert outcomes == [Outcome.REFUSED, Outcome.UNCHANGED, Outcome.REFUSED]

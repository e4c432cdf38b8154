"""`streamingstack license` makes licences that verify, and says plainly why others do not."""

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from license_token import SigningKey, development_claims, issue, load_public_keys, verify
from streamingstack_cli.license import EXPIRED, NOT_YET_VALID, REFUSED, UNREADABLE, VALID, judge, license_app
from typer.testing import CliRunner, Result

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def run(keys: Path, *arguments: object) -> Result:
    return CliRunner().invoke(license_app, [*map(str, arguments), "--keys-dir", str(keys)])


def inspected(keys: Path, file: Path, *more: str) -> tuple[int, dict[str, Any]]:
    result = run(keys, "inspect", file, "--json", *more)
    return result.exit_code, json.loads(result.stdout)


def test_an_issued_licence_verifies_with_the_printed_keys(tmp_path: Path, keys: Path) -> None:
    out = tmp_path / "license.jwt"
    arguments = ("--customer", "acme", "--days", 365, "--models", "en-default, u3-pro", "--session-limit", 40)
    assert run(keys, "issue", "--out", out, *arguments, "--billing", "usage").exit_code == 0
    printed = tmp_path / "printed.json"
    printed.write_text(run(keys, "keys").stdout)

    claims = verify(out.read_text().strip(), load_public_keys(printed), datetime.now(UTC))

    assert (claims.customer, claims.models, claims.session_limit) == ("acme", ("en-default", "u3-pro"), 40)
    assert (claims.billing, claims.development) == ("usage", False)
    assert timedelta(days=364) < claims.expires_at - datetime.now(UTC) <= timedelta(days=365)
    assert stat.S_IMODE((keys / "signing-key.jwk").stat().st_mode) == 0o600
    assert '"d"' not in printed.read_text()


def test_a_development_licence_needs_no_argument(tmp_path: Path, keys: Path) -> None:
    out = tmp_path / "license.jwt"
    assert run(keys, "issue", "--development", "--out", out).exit_code == 0
    status, shown = inspected(keys, out)
    assert (status, shown["verdict"], shown["claims"]["development"]) == (VALID, "valid", True)
    assert shown["claims"]["models"] == "*"


def test_a_licence_can_go_to_standard_output(keys: Path) -> None:
    token = run(keys, "issue", "--development", "--out", "-").stdout.strip()
    assert verify(token, load_public_keys(keys / "public-keys.json"), datetime.now(UTC))


def test_a_renewal_replaces_a_licence_but_no_other_file(tmp_path: Path, keys: Path) -> None:
    out = tmp_path / "license.jwt"
    first = (run(keys, "issue", "--development", "--out", out), out.read_text())[1]
    assert run(keys, "issue", "--development", "--out", out).exit_code == 0
    assert out.read_text() != first
    secret = (keys / "signing-key.jwk").read_text()
    refused = run(keys, "issue", "--development", "--out", keys / "signing-key.jwk")
    assert (refused.exit_code, "--out" in refused.output) == (UNREADABLE, True)
    assert (keys / "signing-key.jwk").read_text() == secret


def test_replacing_the_signing_key_keeps_the_licences_of_the_old_one_valid(tmp_path: Path, keys: Path) -> None:
    old, new = tmp_path / "old.jwt", tmp_path / "new.jwt"
    run(keys, "issue", "--development", "--out", old)
    (keys / "signing-key.jwk").unlink()
    run(keys, "issue", "--development", "--out", new)
    assert [inspected(keys, file)[0] for file in (old, new)] == [VALID, VALID]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--customer"),
        (["--customer", "acme"], "--days"),
        (["--customer", " ", "--days", "3"], "customer"),
        (["--development", "--models", ""], "models"),
        (["--development", "--models", "a,,b"], "models"),
        (["--development", "--session-limit", "0"], "session-limit"),
        (["--development", "--billing", "free"], "billing"),
        (["--development", "--days", "0"], "days"),
        (["--development", "--out", "/proc/nowhere/license.jwt"], "cannot write"),
    ],
)
def test_wrong_arguments_are_refused_by_name(keys: Path, arguments: list[str], named: str) -> None:
    result = run(keys, "issue", *arguments)
    assert result.exit_code == 2
    assert named in result.output
    assert "Traceback" not in result.output


def token(key: SigningKey, **changed: Any) -> str:
    return issue(development_claims("acme", NOW).model_copy(update=changed), key.private_key, key.key_id)


def test_the_verdict_of_a_licence_is_its_exit_status(tmp_path: Path) -> None:
    ours, other = SigningKey.generate(), SigningKey.generate()
    pinned = tmp_path / "pinned.json"
    pinned.write_text(ours.public_keys().to_json())
    past, future = NOW - timedelta(days=9), NOW + timedelta(days=9)
    cases = {
        "valid": (token(ours), VALID),
        "expired": (token(ours, issued_at=past, expires_at=past + timedelta(days=1)), EXPIRED),
        "not_yet_valid": (token(ours, not_before=future), NOT_YET_VALID),
        "forged": (token(other), REFUSED),
        "wrong_audience": (token(ours, audience="other"), REFUSED),
        "malformed": ("x.y", REFUSED),
    }
    for verdict, (text, status) in cases.items():
        file = tmp_path / f"{verdict}.jwt"
        file.write_text(text + "\n")
        got, shown = inspected(tmp_path / "none", file, "--keys", str(pinned))
        assert (got, shown["verdict"]) == (status, verdict)
        assert (shown["problem"] is None) is (verdict == "valid")
        assert shown["claims"].get("customer") == (None if verdict == "malformed" else "acme")


def test_without_keys_nothing_is_called_valid() -> None:
    found = judge(token(SigningKey.generate()), None, NOW)
    assert (found.verdict, found.exit_code, found.claims["customer"]) == ("unverified", REFUSED, "acme")
    assert "--keys" in (found.problem or "")


def test_claims_of_a_forged_licence_cannot_speak_to_the_terminal(tmp_path: Path, keys: Path) -> None:
    run(keys, "issue", "--development", "--out", tmp_path / "own.jwt")
    file = tmp_path / "forged.jwt"
    file.write_text(token(SigningKey.generate(), customer="\x1b[2J[red]acme[/red]"))
    result = run(keys, "inspect", file)
    assert result.exit_code == REFUSED
    assert "\x1b[2J" not in result.output
    assert "[red]acme[/red]" in result.output
    assert "NOT VERIFIED" in result.output


@pytest.mark.parametrize("command", [["inspect", "missing.jwt"], ["inspect", "."], ["keys"]])
def test_what_cannot_be_read_is_one_line_that_names_it(keys: Path, command: list[str]) -> None:
    result = run(keys, *command)
    assert result.exit_code == UNREADABLE
    assert len(result.output.strip().splitlines()) == 1
    assert (command[1] if len(command) > 1 else str(keys)) in result.output


@pytest.mark.parametrize("command", ["issue", "inspect", "keys"])
def test_a_damaged_key_file_is_named_and_left_alone(tmp_path: Path, keys: Path, command: str) -> None:
    keys.mkdir()
    file = tmp_path / "license.jwt"
    file.write_text(token(SigningKey.generate()))
    damaged = keys / ("public-keys.json" if command == "inspect" else "signing-key.jwk")
    damaged.write_text("{}")
    wanted: dict[str, list[str | Path]] = {"issue": ["--development", "--out", file], "inspect": [file], "keys": []}
    result = run(keys, command, *wanted[command])
    assert result.exit_code == UNREADABLE
    assert damaged.name in result.output
    assert damaged.read_text() == "{}"

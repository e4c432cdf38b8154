"""`streamingstack license`: issue licences, show and check them, print the public keys."""

import json
import sys
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from license_token import (
    ALL_MODELS,
    AUDIENCE,
    Billing,
    Claims,
    KeyFileInvalid,
    LicenseExpired,
    LicenseForged,
    LicenseMalformed,
    LicenseNotYetValid,
    LicenseWrongAudience,
    PublicKeys,
    SigningKey,
    development_claims,
    issue,
    load_or_create_signing_key,
    load_public_keys,
    load_signing_key,
    unverified_claims,
    verify,
)
from license_token.files import read_small, replace_private
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Exit codes of `inspect`; 2 is a file that cannot be read, as for wrong arguments.
VALID, REFUSED, UNREADABLE, EXPIRED, NOT_YET_VALID = 0, 1, 2, 3, 4

SIGNING_KEY = "signing-key.jwk"
PUBLIC_KEYS = "public-keys.json"
_SECONDS_A_DAY = 86400

license_app = typer.Typer(name="license", help="Issue licences, show and check them.", no_args_is_help=True)

KeysDir = Annotated[
    Path,
    typer.Option(
        envvar="STREAMINGSTACK_LICENSE_KEYS",
        help=f"Folder of the issuer's keys: {SIGNING_KEY} (secret) and {PUBLIC_KEYS} (to be handed out).",
        show_default="license-keys in the user's settings folder",
    ),
]


def _default_keys_dir() -> Path:
    return Path(typer.get_app_dir("streamingstack", force_posix=False)) / "license-keys"


@dataclass(frozen=True)
class Verdict:
    """What `inspect` found. `claims` are to be trusted only when the verdict is valid, expired or not_yet_valid."""

    verdict: Literal["valid", "expired", "not_yet_valid", "forged", "wrong_audience", "malformed", "unverified"]
    problem: str | None
    claims: dict[str, Any]
    exit_code: int


@license_app.command("issue")
def issue_command(
    out: Annotated[Path, typer.Option(help="Where the licence is written; '-' is standard output.")] = Path(
        "license.jwt"
    ),
    keys_dir: KeysDir = _default_keys_dir(),  # noqa: B008 - a pure path, not read here
    customer: Annotated[str | None, typer.Option(help="Who is licensed.")] = None,
    days: Annotated[int | None, typer.Option(min=1, max=36500, help="How many days it is valid from now.")] = None,
    models: Annotated[
        str, typer.Option(help="Speech models or routes, separated by commas; '*' is every one.")
    ] = ALL_MODELS,
    session_limit: Annotated[int | None, typer.Option(min=1, help="Sessions at once; without it no limit.")] = None,
    billing: Annotated[Billing, typer.Option(help="How the customer pays.")] = Billing.FLAT,
    issuer: Annotated[str, typer.Option(help="Who issues it.")] = "streamingstack",
    trust_days: Annotated[
        int, typer.Option(min=0, max=3650, help="Days of trust after the last successful check-in.")
    ] = 4,
    development: Annotated[
        bool, typer.Option("--development", help="For your own machine: customer 'development', 30 days.")
    ] = False,
) -> None:
    """Issue a licence, signed with the key in the keys folder; the key is made on first use."""
    if development:
        customer, days = customer or "development", days or 30
    if customer is None or days is None:
        _stop("give --customer and --days, or --development")
    now = datetime.now(UTC)
    base = development_claims("-", now) if development else None
    try:
        claims = Claims(
            license_id=str(uuid.uuid4()),
            issuer=base.issuer if base else issuer,
            audience=AUDIENCE,
            customer=customer,
            issued_at=now.replace(microsecond=0),
            expires_at=now.replace(microsecond=0) + timedelta(days=days),
            billing=billing,
            models=_models(models),
            session_limit=session_limit,
            trust_window_seconds=trust_days * _SECONDS_A_DAY,
            development=development,
        )
    except ValidationError as refused:
        first = refused.errors(include_url=False)[0]
        _stop(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
    _write_license(claims, keys_dir, out)


@license_app.command("inspect")
def inspect_command(
    file: Annotated[Path, typer.Argument(help="The licence; '-' is standard input.")],
    keys: Annotated[
        Path | None, typer.Option(help=f"The issuer's public keys (JWKS); default: {PUBLIC_KEYS} of the keys folder.")
    ] = None,
    keys_dir: KeysDir = _default_keys_dir(),  # noqa: B008
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a licence says and whether it holds.

    Exit status: 0 valid, 1 forged, malformed or not verified, 2 unreadable file, 3 expired, 4 not yet valid.
    """
    try:
        token = (sys.stdin.read() if str(file) == "-" else read_small(file).decode()).strip()
    except (OSError, ValueError) as error:
        _stop(f"cannot read the licence {file}: {getattr(error, 'strerror', None) or error}")
    found = judge(token, _keys_to_check_with(keys, keys_dir), datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps({"verdict": found.verdict, "problem": found.problem, "claims": found.claims}, indent=2))
    else:
        _print_table(found)
    raise typer.Exit(found.exit_code)


@license_app.command("keys")
def keys_command(keys_dir: KeysDir = _default_keys_dir()) -> None:  # noqa: B008
    """Print the issuer's public keys (JWKS), for LICENSE_PUBLIC_KEYS_PATH of the licence proxy."""
    try:
        published = _published(keys_dir, load_signing_key(keys_dir / SIGNING_KEY))
    except FileNotFoundError:
        _stop(f"no signing key in {keys_dir}; issue a licence first, or name its folder with --keys-dir")
    except KeyFileInvalid as error:
        _stop(str(error))
    typer.echo(published.to_json(), nl=False)


def judge(token: str, keys: PublicKeys | None, now: datetime) -> Verdict:
    """What is to be said of `token` at `now` (aware); without keys nothing can be verified."""
    if keys is None:
        return Verdict("unverified", "no public keys to check with; give --keys", _shown(token), REFUSED)
    try:
        return Verdict("valid", None, _as_shown(verify(token, keys, now)), VALID)
    except LicenseExpired as error:
        return Verdict("expired", str(error), _as_shown(error.claims), EXPIRED)
    except LicenseNotYetValid as error:
        return Verdict("not_yet_valid", str(error), _as_shown(error.claims), NOT_YET_VALID)
    except LicenseForged as error:
        return Verdict("forged", str(error), _shown(token), REFUSED)
    except LicenseWrongAudience as error:
        return Verdict("wrong_audience", str(error), _shown(token), REFUSED)
    except LicenseMalformed as error:
        return Verdict("malformed", str(error), _shown(token), REFUSED)


def _models(text: str) -> tuple[str, ...] | Literal["*"]:
    if text.strip() == ALL_MODELS:
        return ALL_MODELS
    return tuple(name.strip() for name in text.split(","))


def _write_license(claims: Claims, keys_dir: Path, out: Path) -> None:
    try:
        key = load_or_create_signing_key(keys_dir / SIGNING_KEY)
        replace_private(keys_dir / PUBLIC_KEYS, _published(keys_dir, key).to_json(), mode=0o644)
        token = issue(claims, key.private_key, key.key_id)
        if str(out) == "-":
            typer.echo(token)
            return
        _refuse_to_overwrite_other_files(out)
        replace_private(out, token + "\n")
    except KeyFileInvalid as error:
        _stop(str(error))
    except OSError as error:
        _stop(f"cannot write {error.filename or out}: {error.strerror}")
    typer.echo(f"{out}: licence of {claims.customer}, valid until {claims.expires_at.date().isoformat()}")
    typer.echo(f"{keys_dir / PUBLIC_KEYS}: the public keys that verify it")


def _published(keys_dir: Path, key: SigningKey) -> PublicKeys:
    """The public half of `key` beside those published before, whose licences are out. Raises KeyFileInvalid."""
    path = keys_dir / PUBLIC_KEYS
    own = key.public_keys()
    return own.joined(load_public_keys(path)) if path.exists() else own


def _refuse_to_overwrite_other_files(out: Path) -> None:
    """A licence may be replaced by its renewal; anything else, a key above all, is not ours to lose."""
    if not out.exists():
        return
    try:
        unverified_claims(read_small(out).decode().strip())
    except (LicenseMalformed, ValueError):
        _stop(f"{out} exists and is not a licence; name another file with --out")


def _keys_to_check_with(keys: Path | None, keys_dir: Path) -> PublicKeys | None:
    path = keys or keys_dir / PUBLIC_KEYS
    if keys is None and not path.exists():
        return None
    try:
        return load_public_keys(path)
    except KeyFileInvalid as error:
        _stop(str(error))


def _as_shown(claims: Claims) -> dict[str, Any]:
    fields = claims.model_dump(mode="python", by_alias=False)
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}


def _shown(token: str) -> dict[str, Any]:
    """What can be read of a token that is not trusted."""
    try:
        payload = unverified_claims(token)
    except LicenseMalformed:
        return {}
    try:
        return _as_shown(Claims.model_validate(payload))
    except ValidationError:
        return payload


def _print_table(found: Verdict) -> None:
    trusted = found.verdict in {"valid", "expired", "not_yet_valid"}
    table = Table(title=None if trusted else "NOT VERIFIED: what it says of itself", show_header=False)
    for name, value in found.claims.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        table.add_row(_printable(name), _printable(shown))
    if found.claims:
        Console().print(table)
    typer.echo(f"verdict: {found.verdict}" + (f" ({found.problem})" if found.problem else ""))


def _printable(text: str) -> Text:
    """Claims of a forged licence may hold anything; nothing of it may move the cursor or style the terminal."""
    return Text("".join(character if character.isprintable() else "?" for character in text))


def _stop(problem: str) -> NoReturn:
    typer.echo(problem, err=True)
    raise typer.Exit(UNREADABLE)

"""The licence on disk: read at the start, and followed while it changes.

Files are compared by content, not by name or time: mounted Secrets and ConfigMaps change by swapping links.
"""

import os
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from license_token import (
    Claims,
    KeyFileInvalid,
    LicenseError,
    LicenseExpired,
    LicenseNotYetValid,
    check_time,
    load_public_keys,
    verify_genuine,
)
from license_token.files import read_small


class LicenseUnusable(Exception):
    """No genuine licence could be read; the message is one line that names the path and the remedy."""


@dataclass(frozen=True)
class LicenseFiles:
    """Where the licence and the public keys that verify it lie."""

    license_path: Path
    keys_path: Path

    def read(self) -> Claims:
        """The claims of the genuine licence on disk, whatever its time. Raises LicenseUnusable."""
        try:
            keys = load_public_keys(self.keys_path)
        except KeyFileInvalid as error:
            raise LicenseUnusable(f"public keys {error}; set LICENSE_PUBLIC_KEYS_PATH to a readable one") from None
        try:
            return verify_genuine(_text(self.license_path), keys)
        except LicenseError as error:
            raise LicenseUnusable(f"licence {self.license_path}: {error}") from None


class Outcome(StrEnum):
    """What looking at the files led to."""

    UNCHANGED = "unchanged"
    RENEWED = "renewed"
    REFUSED = "refused"
    HELD_BACK = "held back"


@dataclass(frozen=True)
class Followed:
    """The licence in force, and what was last found wrong with its replacement (None: nothing)."""

    claims: Claims
    problem: str | None = None


def look_again(followed: Followed, files: LicenseFiles, now: datetime) -> tuple[Followed, Outcome]:
    """Follow the files: a genuine replacement is taken, anything else is refused and the old licence stays.

    A genuine replacement that is not valid at `now` while the old one is, is held back until that changes:
    a renewal may be put in place before its time comes. A problem that was reported already is `UNCHANGED`.
    """
    try:
        found = files.read()
    except LicenseUnusable as error:
        return _with_problem(followed, str(error), Outcome.REFUSED)
    if found == followed.claims:
        return replace(followed, problem=None), Outcome.UNCHANGED
    problem = _problem_of_time(found, now)
    if problem and not _problem_of_time(followed.claims, now):
        return _with_problem(followed, f"licence {files.license_path}: {problem}", Outcome.HELD_BACK)
    return Followed(found), Outcome.RENEWED


def _with_problem(followed: Followed, problem: str, outcome: Outcome) -> tuple[Followed, Outcome]:
    if followed.problem == problem:
        return followed, Outcome.UNCHANGED
    return replace(followed, problem=problem), outcome


def _problem_of_time(claims: Claims, now: datetime) -> str | None:
    try:
        check_time(claims, now)
    except (LicenseExpired, LicenseNotYetValid) as error:
        return str(error)
    return None


def _text(path: Path) -> str:
    try:
        return read_small(path).decode("ascii").strip()
    except FileNotFoundError:
        raise LicenseUnusable(
            f"licence {path}: no such file; set LICENSE_FILE_PATH to your licence"
            " (`streamingstack license issue --development` makes one to try the stack)"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise LicenseUnusable(f"licence {path}: {reason}; make it a file that this user may read") from None
    except ValueError:
        raise LicenseUnusable(f"licence {path}: not a licence; copy it again, as one line of text") from None

"""Usage, check-ins, spent tokens on disk (SQLite): what was written outlives the process and the machine's power."""

import contextlib
import errno
import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from license_proxy import spent_tokens
from license_proxy.spent_tokens import Spending, Spent
from license_proxy.usage import UsageEvent

FILE_NAME = "license-proxy.sqlite3"
_SCHEMA_VERSION = 1
# delivered_sequence is what a usage tracker has acknowledged; a row is pending while its sequence is beyond it.
_SCHEMA = """
CREATE TABLE usage (
  session_id TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL,
  audio_ms INTEGER NOT NULL,
  session_ms INTEGER NOT NULL,
  model TEXT NOT NULL,
  tenant TEXT,
  started_at TEXT NOT NULL,
  ended INTEGER NOT NULL,
  license_id TEXT NOT NULL,
  received_at TEXT NOT NULL,
  delivered_sequence INTEGER NOT NULL DEFAULT -1
) STRICT;
CREATE INDEX usage_pending ON usage (session_id) WHERE sequence > delivered_sequence;
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
PRAGMA user_version = 1;
"""
_UPSERT = """
INSERT INTO usage
  (session_id, sequence, audio_ms, session_ms, model, tenant, started_at, ended, license_id, received_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session_id) DO UPDATE SET
  sequence = excluded.sequence, audio_ms = excluded.audio_ms, session_ms = excluded.session_ms, model = excluded.model,
  tenant = excluded.tenant, started_at = excluded.started_at, ended = excluded.ended,
  license_id = excluded.license_id, received_at = excluded.received_at
WHERE excluded.sequence > usage.sequence
"""
# What only a person can mend; anything else (a full disk, a slow one, one that comes back) is tried again.
_LASTING = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
_NOT_WRITABLE = "make STATE_DIR a folder that this user may write"
_NOT_OURS = "move the file aside and keep it: it may hold usage that was not delivered"
_NO_SPACE = "free some space in STATE_DIR"
_REMEDIES = {
    sqlite3.SQLITE_NOTADB: _NOT_OURS,
    sqlite3.SQLITE_CORRUPT: _NOT_OURS,
    sqlite3.SQLITE_CANTOPEN: _NOT_WRITABLE,
    sqlite3.SQLITE_READONLY: _NOT_WRITABLE,
    sqlite3.SQLITE_BUSY: "end the other process that uses STATE_DIR",
}
_LASTING_ERRNO = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG}

Result = TypeVar("Result")


class LedgerUnavailable(Exception):
    """Nothing was written; try again. `lasting` is true where only a person can mend it."""

    def __init__(self, problem: str, *, lasting: bool) -> None:
        self.lasting = lasting
        super().__init__(problem)


class Ledger:
    """One SQLite file, made where it is missing. Safe to call from threads; every method raises LedgerUnavailable.

    `busy_seconds` is how long it waits for another process that holds the file.
    After an error the file is closed, and opened anew by the next call: a disk that was full works again when it can.
    """

    def __init__(self, state_dir: Path, busy_seconds: float = 5.0) -> None:
        self._path = state_dir / FILE_NAME
        self._busy_seconds = busy_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._lock:
            self._forget()

    def record(self, events: Mapping[str, UsageEvent], license_id: str, received_at: datetime) -> None:
        """Keep each session's event, by session id, unless one of the same or a higher sequence is known."""
        rows = [_row(event, license_id, received_at) for event in events.values()]

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_UPSERT, rows)

        self._transaction(write)

    def pending(self) -> int:
        """How many sessions have usage that was not delivered."""

        def count(connection: sqlite3.Connection) -> int:
            row = connection.execute("SELECT count(*) FROM usage WHERE sequence > delivered_sequence").fetchone()
            return int(row[0])

        return self._transaction(count)

    def spend(self, spending: Spending, now: datetime) -> Spent:
        """Let its session have the token, if no other one has."""
        return self._transaction(lambda connection: spent_tokens.spend(connection, spending, now.timestamp()))

    def remember(self, name: str, value: str) -> None:
        """Keep a fact, such as the last check-in, over restarts."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)", (name, value))

        self._transaction(write)

    def recall(self, name: str) -> str | None:
        """A fact that was kept, or None."""

        def read(connection: sqlite3.Connection) -> str | None:
            row = connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return None if row is None else str(row[0])

        return self._transaction(read)

    def _transaction(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        with self._lock:
            try:
                connection = self._opened()
                connection.execute("BEGIN IMMEDIATE")
                result = work(connection)
                connection.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self._forget()
                raise _unavailable(self._path, error) from None
            return result

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            _prepare(self._connection)
        return self._connection

    def _forget(self) -> None:
        """Close, which also undoes an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _prepare(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError(f"written by a newer release (format {version}); run that release again")
    if version < _SCHEMA_VERSION:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")


def _row(event: UsageEvent, license_id: str, received_at: datetime) -> tuple[str | int | None, ...]:
    return (
        event.session_id,
        event.sequence,
        event.audio_ms,
        event.session_ms,
        event.model,
        event.tenant,
        event.started_at.isoformat(),
        int(event.ended),
        license_id,
        received_at.isoformat(),
    )


def _unavailable(path: Path, error: sqlite3.Error | OSError) -> LedgerUnavailable:
    if isinstance(error, OSError):
        lasting, reason = error.errno in _LASTING_ERRNO, error.strerror or str(error)
        return LedgerUnavailable(f"{path}: {reason}; {_NOT_WRITABLE if lasting else _NO_SPACE}", lasting=lasting)
    # Without a code it is our own refusal of a newer file.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return LedgerUnavailable(f"{path}: {error}; {_REMEDIES.get(code, _NO_SPACE)}", lasting=code in _LASTING)

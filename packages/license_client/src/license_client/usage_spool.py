"""Usage on disk, until the licence proxy has it."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

# `usage` waits for delivery; `refused` holds what the licence proxy did not take, for somebody to look at.
_TABLE = """
CREATE TABLE IF NOT EXISTS {name} (
  session_id TEXT PRIMARY KEY,
  sequence INTEGER NOT NULL,
  audio_ms INTEGER NOT NULL,
  session_ms INTEGER NOT NULL,
  model TEXT NOT NULL,
  tenant TEXT NOT NULL,
  started_at TEXT NOT NULL,
  ended INTEGER NOT NULL
)
"""
_UPSERT = """
INSERT INTO {name} VALUES (:session_id, :sequence, :audio_ms, :session_ms, :model, :tenant, :started_at, :ended)
ON CONFLICT (session_id) DO UPDATE SET sequence = excluded.sequence, audio_ms = excluded.audio_ms,
  session_ms = excluded.session_ms, ended = excluded.ended
"""


@dataclass(frozen=True)
class UsageEvent:
    """What one session has used so far; of one session the highest sequence wins."""

    session_id: str
    sequence: int
    audio_ms: int
    session_ms: int
    model: str
    tenant: str
    started_at: str
    ended: bool


class UsageSpool:
    """One row a session, in SQLite: a newer event replaces the older, so the spool is bounded by the sessions."""

    def __init__(self, folder: Path | None, limit: int) -> None:
        """In `folder`, or in memory; at most `limit` sessions. Raises OSError or sqlite3.Error where it is unusable."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._limit = limit
        self._database = sqlite3.connect(folder / "usage.sqlite" if folder else ":memory:", check_same_thread=False)
        self._database.row_factory = sqlite3.Row
        self._lock = threading.Lock()
        with self._alone():
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            for name in ("usage", "refused"):
                self._database.execute(_TABLE.format(name=name))

    def close_left_open(self) -> int:
        """End the sessions of a process that is no more; returns how many."""
        with self._alone():
            changed = self._database.execute("UPDATE usage SET ended = 1, sequence = sequence + 1 WHERE ended = 0")
        return changed.rowcount

    def write(self, events: list[UsageEvent]) -> None:
        """Durable when it returns. Raises sqlite3.Error."""
        with self._alone():
            self._database.executemany(_UPSERT.format(name="usage"), [asdict(event) for event in events])

    def oldest(self, count: int) -> list[UsageEvent]:
        """Up to `count` events, longest known first."""
        with self._alone():
            rows = self._database.execute("SELECT * FROM usage ORDER BY rowid LIMIT ?", (count,)).fetchall()
        return [UsageEvent(**{**dict(row), "ended": bool(row["ended"])}) for row in rows]

    def forget(self, events: list[UsageEvent]) -> None:
        """These were delivered; what is newer stays, what was refused of the same sessions before is in them."""
        with self._alone():
            self._delete("usage", events)
            self._delete("refused", events)

    def set_aside(self, events: list[UsageEvent]) -> None:
        """These will never be taken: kept, marked as refused, and not offered again. What is newer stays."""
        with self._alone():
            self._database.executemany(_UPSERT.format(name="refused"), [asdict(event) for event in events])
            self._delete("usage", events)

    def size(self) -> int:
        """Sessions in the spool, the refused ones too."""
        count = "SELECT (SELECT count(*) FROM usage) + (SELECT count(*) FROM refused)"
        with self._alone():
            return int(self._database.execute(count).fetchone()[0])

    def refused(self) -> int:
        """Sessions of which something was refused and nothing newer taken."""
        with self._alone():
            return int(self._database.execute("SELECT count(*) FROM refused").fetchone()[0])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """A transaction that no other thread is in."""
        with self._lock, self._database:
            yield

    def _delete(self, table: str, events: list[UsageEvent]) -> None:
        self._database.executemany(
            f"DELETE FROM {table} WHERE session_id = ? AND sequence <= ?",  # noqa: S608 - a name of ours
            [(event.session_id, event.sequence) for event in events],
        )

    @property
    def full(self) -> bool:
        """Whether no further session can be recorded."""
        return self.size() >= self._limit

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

"""Tokens that opened their one session, for gateways whose tokens open no more: the first session to tell has it.

What is known of a token is a hash. It is kept until nobody takes the token any more, over restarts too.
"""

import sqlite3
from enum import Enum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from license_proxy.bodies import Id

# Beyond a token's end, as the clocks of gateways differ and are set.
LONGER_SECONDS = 300
# At a time: some 40 MB. A disk writes no more of them, one by one, in the ten minutes that a token lives.
MOST = 200_000
# Made when the first token is spent, and of no format of its own: older releases leave the table alone.
_SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS spent_tokens (
  token TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  forget_at REAL NOT NULL
) STRICT, WITHOUT ROWID
""",
    "CREATE INDEX IF NOT EXISTS spent_tokens_forget_at ON spent_tokens (forget_at)",
)


class Spending(BaseModel):
    """The body of `POST /v1/spent-tokens`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    token: Id = Field(description="A hash of the token.")
    session_id: Id = Field(description="Who wants it; told twice, it is the same spending.")
    expires_in_seconds: Annotated[int, Field(ge=0, le=3600, strict=True)]


class Spent(Enum):
    """What became of it."""

    FIRST = "first"
    AGAIN = "again"
    FULL = "full"


def spend(connection: sqlite3.Connection, spending: Spending, now: float, most: int = MOST) -> Spent:
    """Within a transaction: FIRST for the session that has the token. `now` is Unix time; raises sqlite3.Error."""
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("DELETE FROM spent_tokens WHERE forget_at <= ?", (now,))
    known = connection.execute("SELECT session_id FROM spent_tokens WHERE token = ?", (spending.token,)).fetchone()
    if known is not None:
        return Spent.FIRST if known[0] == spending.session_id else Spent.AGAIN
    if connection.execute("SELECT count(*) FROM spent_tokens").fetchone()[0] >= most:
        return Spent.FULL
    forget_at = now + spending.expires_in_seconds + LONGER_SECONDS
    connection.execute(
        "INSERT INTO spent_tokens (token, session_id, forget_at) VALUES (?, ?, ?)",
        (spending.token, spending.session_id, forget_at),
    )
    return Spent.FIRST

"""Who may open a session: API keys, known by their hashes only, and tokens that were made with them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

from stack_model.api_keys import EVERYBODY, ApiKey, bare, find_key

from streaming_gateway.problems import Problem, unauthorized
from streaming_gateway.tokens import Token, TokenExpired, issue_token, read_token


@dataclass(frozen=True)
class Caller:
    """Who opens a session, with which key; with a token of it, or with the key itself."""

    key: ApiKey
    token: Token | None = None

    @property
    def session_seconds(self) -> int | None:
        """How long the session may last by its token; None: as long as any."""
        return self.token.session_seconds if self.token else None


class Authenticator:
    """Decides on credentials. `keys` and `secrets` are read anew each time, so that their files may change."""

    def __init__(
        self,
        keys: Callable[[], list[ApiKey]] | None,
        secrets: Callable[[], list[str]] | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Without `keys` any credential is taken that is not empty; without `secrets` there are no tokens."""
        self._keys = keys
        self._secrets = secrets
        self._clock = clock

    @property
    def makes_tokens(self) -> bool:
        """Whether there is a secret to sign them with."""
        return self._secrets is not None

    def caller(self, credential: str) -> Caller:
        """Who comes with a key or a token; `Bearer ` before it is accepted. Raises Problem 1008."""
        token = self._read(credential)
        if token is None:
            return Caller(self._key(credential))
        return Caller(self._key_of(token), token)

    def token(self, credential: str, *, lifetime_seconds: int, session_seconds: int) -> str:
        """A token of the key `credential`. Raises Problem 1008; also for a token, which would never end then."""
        assert self._secrets is not None
        if self._read(credential) is not None:
            raise unauthorized("Invalid API key", "invalid_key")
        return issue_token(
            self._secrets()[0],
            self._key(credential).sha256,
            now=self._clock(),
            lifetime_seconds=lifetime_seconds,
            session_seconds=session_seconds,
            jti=uuid4().hex,
        )

    def _read(self, credential: str) -> Token | None:
        try:
            return read_token(bare(credential), self._secrets() if self._secrets else [], self._clock())
        except TokenExpired:
            raise unauthorized("Signature has expired", "expired_token") from None

    def _key(self, credential: str) -> ApiKey:
        if self._keys is None:
            return EVERYBODY
        return _known(find_key(self._keys(), credential))

    def _key_of(self, token: Token) -> ApiKey:
        """The key that it was made with, as the file has it now."""
        keys = [EVERYBODY] if self._keys is None else self._keys()
        matches = [key for key in keys if token.is_of(key.sha256)]
        # The last of one hash, as with the key itself; without keys, whatever is signed by us is welcome.
        return EVERYBODY if self._keys is None else _known(matches[-1] if matches else None)


def credential(headers: Sequence[str], token: str | None) -> str:
    """The credential of a request: the token of the query, else the Authorization header. Raises Problem 1008.

    `headers` are the values of all Authorization headers.
    """
    given = (token or "").strip() or next((value.strip() for value in headers), "")
    if not given:
        raise unauthorized("Missing Authorization header", "missing_key")
    return given


def _known(key: ApiKey | None) -> ApiKey:
    if key is None:
        raise _invalid()
    return key


def _invalid() -> Problem:
    return unauthorized("Invalid API key", "invalid_key")

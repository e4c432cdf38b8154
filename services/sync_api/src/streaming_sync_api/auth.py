"""Who may send recordings: API keys, known by their hashes only."""

import hashlib
import hmac
from collections.abc import Callable

from service_kit.logs import get_logger
from stack_model.api_keys import EVERYBODY, ApiKey

from streaming_sync_api.problems import unauthorized

_log = get_logger(__name__)


class Authenticator:
    """Decides on credentials. `keys` is read anew each time, so that their file may change."""

    def __init__(self, keys: Callable[[], list[ApiKey]] | None) -> None:
        """Without `keys` any credential is taken that is not empty."""
        if keys is None:
            _log.warning("no API_KEYS_FILE: any non-empty credential is taken")
        self._keys = keys

    def tenant(self, credential: str | None) -> str:
        """Whose the credential is; `Bearer ` before a key is accepted. Raises SyncProblem 401."""
        given = (credential or "").strip()
        if not given:
            raise unauthorized("header Authorization: missing or empty; send your API key in it")
        if self._keys is None:
            return EVERYBODY.name
        digests = [_sha256(given), _sha256(given.removeprefix("Bearer ").strip())]
        found = None
        for key in self._keys():
            # Every key is compared, in constant time, so that the time tells nothing.
            matches = [hmac.compare_digest(digest, key.sha256) for digest in digests]
            if any(matches):
                found = key.name
        if found is None:
            raise unauthorized("header Authorization: invalid API key")
        return found


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

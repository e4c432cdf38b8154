"""Who may send recordings: API keys, known by their hashes only."""

from collections.abc import Callable

from service_kit.logs import get_logger
from stack_model.api_keys import EVERYBODY, ApiKey, find_key

from streaming_sync_api.problems import unauthorized

_log = get_logger(__name__)


class Authenticator:
    """Decides on credentials. `keys` is read anew each time, so that their file may change."""

    def __init__(self, keys: Callable[[], list[ApiKey]] | None) -> None:
        """Without `keys` any credential is taken that is not empty."""
        if keys is None:
            _log.warning("no API_KEYS_FILE: any non-empty credential is taken")
        self._keys = keys

    def key(self, credential: str | None) -> ApiKey:
        """The key that the credential is; `Bearer ` before it is accepted. Raises SyncProblem 401.

        Bytes that are no ASCII are surrogates in `credential`.
        """
        given = (credential or "").strip()
        if not given:
            raise unauthorized("header Authorization: missing or empty; send your API key in it")
        if self._keys is None:
            return EVERYBODY
        found = find_key(self._keys(), given)
        if found is None:
            raise unauthorized("header Authorization: invalid API key")
        return found

"""What a pod asks the store of its stack."""

from dataclasses import dataclass
from typing import Any

import httpx2

from model_store.remote import HttpRemote


class StoreAwayError(Exception):
    """No usable answer; the text says what happened."""


@dataclass(frozen=True)
class Offer:
    """How far the store is with a model; sizes in bytes."""

    state: str
    identity: str
    digest: str | None
    bytes_done: int
    bytes_total: int | None
    error: str | None


@dataclass(frozen=True)
class OfferedFile:
    """One file of a digest."""

    path: str
    size: int
    sha256: str


class StoreClient:
    """Speaks to one store; the store is a neighbour, so no proxy is ever asked."""

    def __init__(self, base: str) -> None:
        """`base` is the store's URL."""
        self._http = httpx2.Client(
            base_url=base.rstrip("/") + "/", timeout=httpx2.Timeout(30, pool=None), trust_env=False
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def offer(self, name: str) -> Offer | None:
        """How far the model is; None where the store does not know it (yet). Raises StoreAwayError."""
        found = self._get(f"models/{name}")
        if found is None:
            return None
        try:
            return Offer(
                state=str(found["state"]),
                identity=str(found["identity"]),
                digest=found["digest"],
                bytes_done=int(found["bytesDone"]),
                bytes_total=found["bytesTotal"],
                error=found["error"],
            )
        except (KeyError, TypeError, ValueError):
            raise StoreAwayError("its answer is not a model store's; check --from") from None

    def files(self, digest: str) -> list[OfferedFile]:
        """The files of a digest; empty where the store has it no more. Raises StoreAwayError."""
        found = self._get(f"digests/{digest}")
        entries = found["files"] if found else []
        return [OfferedFile(str(entry["path"]), int(entry["bytes"]), str(entry["sha256"])) for entry in entries]

    def file(self, digest: str, path: str) -> HttpRemote:
        """One file, to be opened."""
        return HttpRemote(self._http, str(self._http.base_url.join(f"digests/{digest}/{path}")))

    def _get(self, path: str) -> dict[str, Any] | None:
        try:
            answer = self._http.get(path)
            if answer.status_code == 404 and "error" in answer.json():
                return None
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except httpx2.HTTPStatusError as refused:
            raise StoreAwayError(f"HTTP {refused.response.status_code}") from None
        except (httpx2.HTTPError, ValueError) as failure:
            raise StoreAwayError(str(failure) or type(failure).__name__) from None
        return found

"""Keys and certificates of a cluster in files: made once, made anew when they are about to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from e2e_cluster import certificates
from e2e_cluster.certificates import Authority, Pair

_RENEW_BEFORE = timedelta(days=7)


@dataclass(frozen=True)
class KeyStore:
    """A folder of `NAME.crt` and `NAME.key`, readable by its owner alone."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """The file of a certificate."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The file of a private key."""
        return self.folder / f"{name}.key"

    def authority(self, name: str) -> Authority:
        """The certificate authority of that name; a new one, and nothing that the old one signed, when it has ended."""
        pair = self._read(name)
        if pair is None:
            for old in self.folder.glob("*.crt") if self.certificate(name).exists() else ():
                old.unlink()
            pair = certificates.authority(f"streamingstack-{name}", now=datetime.now(UTC)).pair
            self._write(name, pair)
        return Authority(pair)

    def client(self, authority: Authority, name: str, user: str, groups: Sequence[str] = ()) -> Pair:
        """The client certificate kept under that name, for a user in groups."""
        return self._read(name) or self._write(name, authority.client(user, groups, now=datetime.now(UTC)))

    def server(self, authority: Authority, name: str, alternatives: Sequence[str]) -> Pair:
        """The serving certificate kept under that name, for DNS names and addresses."""
        return self._read(name) or self._write(name, authority.server(name, alternatives, now=datetime.now(UTC)))

    def signing_key(self, name: str) -> Path:
        """The file of the key that signs service account tokens."""
        path = self.key(name)
        if not path.exists():
            write_private(path, certificates.signing_key())
        return path

    def _read(self, name: str) -> Pair | None:
        try:
            pair = Pair(self.certificate(name).read_text(), self.key(name).read_text())
        except FileNotFoundError:
            return None
        return pair if certificates.expires(pair.certificate) - datetime.now(UTC) > _RENEW_BEFORE else None

    def _write(self, name: str, pair: Pair) -> Pair:
        write_private(self.key(name), pair.key)
        write_private(self.certificate(name), pair.certificate)
        return pair


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.rename(path)

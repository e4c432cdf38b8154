"""TLS at the clients' port, from files that are read again when they change."""

import asyncio
import ssl
from pathlib import Path

from service_kit.logs import get_logger

_log = get_logger(__name__)
LOOK_SECONDS = 2.0
Stamp = tuple[tuple[int, int, int], ...]


class ServingCertificate:
    """A certificate with its key. Connections that come after a change have the new one, open ones keep theirs."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """PEM files: the certificate with what lies between it and its authority, and its key.

        Raises ValueError naming the files where they cannot be used.
        """
        self._files = certificate, key
        self._refused: Stamp | None = None
        try:
            self._stamp = self._current()
            self.context = self._newest = self._read()
        except (OSError, ssl.SSLError) as failure:
            reason = failure.strerror or type(failure).__name__
            raise ValueError(
                f"TLS_CERT_FILE {certificate} and TLS_KEY_FILE {key}: {reason}; give PEM files that belong together"
            ) from None
        self.context.sni_callback = self._show_newest

    async def watch(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Take what changed. Files that do not belong together, as in the midst of a change, wait for the next look."""
        try:
            stamp = self._current()
            if stamp == self._stamp:
                return
            self._newest = self._read()
        except (OSError, ssl.SSLError) as failure:
            self._complain(failure)
            return
        self._stamp, self._refused = stamp, None
        _log.info("certificate reloaded", path=str(self._files[0]))

    def _show_newest(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        """A context keeps a certificate for each kind of key: what is loaded into one that is in use leaves an older
        one of another kind in it, which is then shown. So each handshake, whether it names a host or not, gets the
        context that was read last."""
        connection.context = self._newest

    def _complain(self, failure: OSError) -> None:
        try:
            stamp = self._current()
        except OSError:
            stamp = ()
        if stamp != self._refused:
            _log.error(
                "certificate unusable, keeping the last good one",
                path=str(self._files[0]),
                kind=type(failure).__name__,
            )
        self._refused = stamp

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Threaded Python clients that read while they write the upgrade, as the SDK before 1.8, lose it now and then to
        # a ticket that comes meanwhile. Sessions are long and few: nobody misses the resumption.
        context.num_tickets = 0
        context.load_cert_chain(*self._files)
        return context

    def _current(self) -> Stamp:
        found = [file.stat() for file in self._files]
        return tuple((each.st_mtime_ns, each.st_size, each.st_ino) for each in found)

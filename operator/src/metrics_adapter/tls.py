"""TLS of the API: one listener whose certificate and client CA change while it serves."""

import ssl
import tempfile
from pathlib import Path
from typing import Any

from metrics_adapter.certificates import Identity


class Tls:
    """`context` is for the listener, and shows to each new connection what was set last.

    A client certificate that the front proxy's CA did not sign fails the handshake; one that is missing does not, so
    that the request is answered 401 in Kubernetes' own form.
    """

    def __init__(self) -> None:
        self.context = _context()
        self.context.sni_callback = self._choose
        self._current: ssl.SSLContext | None = None
        self._identity: Identity | None = None
        self._client_ca = ""

    @property
    def ready(self) -> bool:
        """Whether both halves are known."""
        return self._current is not None

    def set_identity(self, identity: Identity) -> None:
        """Show this certificate from now on."""
        self._identity = identity
        self._renew(self._client_ca)

    def set_client_ca(self, client_ca: str) -> None:
        """Believe these CAs (PEM), and no others, of front proxies. Raises ssl.SSLError; the last ones then hold."""
        if client_ca != self._client_ca:
            self._renew(client_ca)
            self._client_ca = client_ca

    def common_name(self, tls: ssl.SSLObject | None) -> str | None:
        """Of the client certificate of a connection; None without one, or where its CA is believed no more."""
        certificate = tls.getpeercert() if tls is not None else None
        if tls is None or not certificate or getattr(tls.context, "client_ca", None) != self._client_ca:
            return None
        subject: Any = certificate.get("subject", ())
        return next((value for names in subject for key, value in names if key == "commonName"), None)

    def _renew(self, client_ca: str) -> None:
        if self._identity is None or not client_ca:
            return
        context = _Context(ssl.PROTOCOL_TLS_SERVER)
        _harden(context)
        context.client_ca = client_ca
        context.load_verify_locations(cadata=client_ca)
        with tempfile.TemporaryDirectory() as folder:  # the library reads keys from files only
            pair = Path(folder) / "pair.pem"
            pair.touch(mode=0o600)
            pair.write_text(self._identity.key + self._identity.certificate)
            context.load_cert_chain(pair)
        self._current = context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


class _Context(ssl.SSLContext):
    """Knows whom it believes."""

    client_ca: str = ""


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed connection would be judged by a CA that may have gone.
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0

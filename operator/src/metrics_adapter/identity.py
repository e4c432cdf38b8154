"""The adapter's certificate in a Secret that its replicas share, and the API server's words on who it is."""

import asyncio
import base64
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from service_kit.logs import get_logger
from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer
from streaming_operator.kinds import CONFIG_MAP, SECRET

from metrics_adapter.certificates import Identity, expires, renewed
from metrics_adapter.front_proxy import FrontProxy, FrontProxyError, read_front_proxy
from metrics_adapter.metrics import AdapterMetrics
from metrics_adapter.tls import Tls

EVERY_SECONDS = 30.0
_RETRY_SECONDS = 1.0
_AUTHENTICATION = ("kube-system", "extension-apiserver-authentication")
_KEYS = {"authorities": "ca.crt", "authority_key": "ca.key", "certificate": "tls.crt", "key": "tls.key"}

log = get_logger(__name__)


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _Data(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, str] | None = None


class Identities:
    """Keeps `tls` up to date. `name` is the DNS name that the API server expects of us."""

    def __init__(
        self, api: ApiServer, tls: Tls, namespace: str, secret: str, name: str, metrics: AdapterMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._api = api
        self._tls = tls
        self._namespace, self._secret, self._name = namespace, secret, name
        self._metrics = metrics
        self._clock = clock
        self.shown: Identity | None = None
        self.front_proxy: FrontProxy | None = None

    async def run(self) -> None:
        """Look at both twice a minute, until cancelled. What was read last holds while the API server is away."""
        while True:
            well = await self.look()
            await asyncio.sleep(EVERY_SECONDS if well else _RETRY_SECONDS)

    async def look(self) -> bool:
        """Once; whether all went well."""
        try:
            await self._look_at_secret()
            await self._look_at_front_proxy()
        except (ApiRefusal, ApiUnreachable, FrontProxyError, msgspec.DecodeError) as failure:
            log.warning("not all is known that TLS needs", problem=str(failure))
            return False
        return self._tls.ready

    async def _look_at_secret(self) -> None:
        """Take what is there, renewed where it is due. Of replicas that renew at once one wins, the others take its."""
        for _ in range(3):
            body = await self._api.get(SECRET, self._namespace, self._secret)
            found = None if body is None else msgspec.json.decode(body, type=_Data)
            identity = _identity(found)
            wanted = renewed(identity, self._name, self._clock())
            if wanted is None:
                self._show(identity)
                return
            try:
                manifest = self._manifest(wanted, found.metadata.resource_version if found else "")
                await self._api.apply(SECRET, self._namespace, self._secret, manifest, manager=names.METRICS_ADAPTER)
            except ApiRefusal as refusal:
                if refusal.code != 409:
                    raise
            else:
                log.info("the certificate was renewed", until=expires(wanted.certificate).isoformat())
        raise ApiUnreachable(f"Secret {self._namespace}/{self._secret} does not come to rest")

    def _show(self, identity: Identity | None) -> None:
        if identity is not None and identity != self.shown:
            self._tls.set_identity(identity)
            self.shown = identity
            self._metrics.certificate_expiry.set(expires(identity.certificate).timestamp())

    def _manifest(self, identity: Identity, version: str) -> bytes:
        data = {key: base64.b64encode(getattr(identity, field).encode()).decode() for field, key in _KEYS.items()}
        metadata: dict[str, Any] = {"name": self._secret, "namespace": self._namespace}
        if version:
            metadata["resourceVersion"] = version
        return msgspec.json.encode({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})

    async def _look_at_front_proxy(self) -> None:
        body = await self._api.get(CONFIG_MAP, *_AUTHENTICATION)
        data = None if body is None else msgspec.json.decode(body, type=_Data).data
        front_proxy = read_front_proxy(data)
        try:
            self._tls.set_client_ca(front_proxy.client_ca)
        except ssl.SSLError as wrong:
            raise FrontProxyError(
                f"requestheader-client-ca-file holds no certificate that can be read: {wrong}"
            ) from None
        self.front_proxy = front_proxy


def _identity(found: _Data | None) -> Identity | None:
    data = (found.data if found else None) or {}
    try:
        return Identity(**{field: base64.b64decode(data[key]).decode() for field, key in _KEYS.items()})
    except (KeyError, ValueError):
        return None

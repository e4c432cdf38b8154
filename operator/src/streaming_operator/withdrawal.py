"""Takes the metrics adapter's registration away while no adapter answers: one that leads nowhere blocks the cluster.

The namespace controller empties a namespace only once it knows every kind that is served; while an APIService is not
Available it never does, so that no namespace ends. The adapter itself cannot help when it is away, and puts the
registration back when it returns. Meanwhile autoscalers hold, as they would without an answer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from service_kit.logs import get_logger

from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer
from streaming_operator.kinds import API_SERVICE

EVERY_SECONDS = 10.0
# Longer than the API server needs to see an adapter that has just been made or has moved.
PATIENCE = timedelta(seconds=20)

log = get_logger(__name__)


class _Metadata(msgspec.Struct, rename="camel"):
    uid: str
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _Service(msgspec.Struct):
    namespace: str = ""


class _Spec(msgspec.Struct):
    service: _Service | None = None


class _Condition(msgspec.Struct, rename="camel"):
    type: str
    status: str
    message: str = ""
    last_transition_time: datetime | None = None


class _Status(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _ApiService(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)


@dataclass
class Withdrawal:
    """Of the adapter in `namespace`, the operator's own; registrations of anybody else are left alone."""

    api: ApiServer
    namespace: str
    clock: Callable[[], datetime]

    async def run(self) -> None:
        """Again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except (ApiRefusal, ApiUnreachable, msgspec.DecodeError) as failure:
                log.warning("the metrics adapter's registration cannot be looked at", problem=str(failure))
            await asyncio.sleep(EVERY_SECONDS)

    async def look(self) -> None:
        """Once. Raises ApiRefusal, ApiUnreachable."""
        body = await self.api.get(API_SERVICE, None, names.METRICS_API)
        if body is None:
            return
        found = msgspec.json.decode(body, type=_ApiService)
        away = self._away(found)
        if away is not None:
            log.warning("no metrics adapter answers: its registration is taken away", problem=away.message)
            await self.api.delete(API_SERVICE, "", names.METRICS_API, uid=found.metadata.uid)

    def _away(self, found: _ApiService) -> _Condition | None:
        """What the API server says of an adapter of ours that has not answered for a while."""
        metadata, service = found.metadata, found.spec.service
        ours = (metadata.labels or {}).get(names.MANAGED_BY) == names.METRICS_ADAPTER
        if not ours or metadata.deletion_timestamp or service is None or service.namespace != self.namespace:
            return None
        for condition in found.status.conditions or ():
            since = condition.last_transition_time
            if condition.type == "Available" and condition.status == "False" and since is not None:
                return condition if self.clock() - since >= PATIENCE else None
        return None

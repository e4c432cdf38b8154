"""Replicas share one CA and certificate, whoever is first, and follow the API server's words on who it is."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import trustme
from metrics_adapter.certificates import CA_LIFETIME, OVERLAP
from metrics_adapter.identity import Identities
from metrics_adapter.metrics import AdapterMetrics
from metrics_adapter.tls import Tls
from streaming_operator.api_server import ApiServer

NAME = "adapter.system.svc"


class Cluster:
    """A Secret with a version, and the front proxy's ConfigMap, as the API server keeps them."""

    def __init__(self) -> None:
        self.version = 1
        self.data: dict[str, Any] = {}
        self.writes = self.conflicts = 0
        self.front_proxy = trustme.CA().cert_pem.bytes().decode()
        self.away = False
        self.now = datetime.now(UTC)

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0.01)  # so that replicas meet between their read and their write
        if self.away:
            raise httpx2.ConnectError("away")
        if request.url.path.endswith("/extension-apiserver-authentication"):
            data = {
                "requestheader-client-ca-file": self.front_proxy,
                "requestheader-username-headers": '["X-Remote-User"]',
            }
            return httpx2.Response(200, json={"metadata": {}, "data": data})
        if request.method == "PATCH":
            body = json.loads(request.content)
            if body["metadata"]["resourceVersion"] != str(self.version):
                self.conflicts += 1
                return httpx2.Response(409, json={"code": 409, "reason": "Conflict"})
            self.version, self.data, self.writes = self.version + 1, body["data"], self.writes + 1
        return httpx2.Response(200, json={"metadata": {"resourceVersion": str(self.version)}, "data": self.data})

    def replica(self) -> tuple[Identities, Tls]:
        """One adapter's."""
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.answer), base_url="http://api")
        tls = Tls()
        made = Identities(ApiServer(http), tls, "system", "tls", NAME, AdapterMetrics(), lambda: self.now)
        return made, tls


async def test_of_replicas_that_begin_at_once_one_makes_the_certificate_and_all_show_it() -> None:
    cluster = Cluster()
    replicas = [cluster.replica()[0] for _ in range(3)]
    assert await asyncio.gather(*(replica.look() for replica in replicas)) == [True] * 3
    assert (cluster.writes, cluster.conflicts) == (1, 2)
    assert len({replica.shown for replica in replicas}) == 1
    assert await replicas[0].look()
    assert cluster.writes == 1, "nothing is written while nothing is due"


async def test_a_new_ca_is_published_by_all_before_any_shows_what_it_signed() -> None:
    cluster = Cluster()
    (first, _), (second, _) = cluster.replica(), cluster.replica()
    await first.look()
    await second.look()
    begun, old = cluster.now, first.shown
    assert old is not None
    while first.shown is not None and first.shown.authorities.count("BEGIN") == 1:
        old = first.shown
        cluster.now += timedelta(days=20)
        for replica in (first, second):
            await replica.look()
    published = first.shown
    assert published is not None
    assert published == second.shown
    assert CA_LIFETIME * 0.6 < cluster.now - begun < CA_LIFETIME * 0.7
    assert published.authorities.endswith(old.authorities)
    assert published.certificate == old.certificate
    cluster.now += OVERLAP
    for replica in (second, first):
        await replica.look()
    assert first.shown == second.shown
    assert first.shown is not None
    assert first.shown.certificate not in (published.certificate, old.certificate)
    assert first.shown.authorities == published.authorities


async def test_what_somebody_broke_is_made_anew_and_what_was_there_is_used_while_nobody_answers() -> None:
    cluster = Cluster()
    replica, tls = cluster.replica()
    await replica.look()
    before = replica.shown
    cluster.data = {"tls.crt": base64.b64encode(b"nonsense").decode()}
    cluster.version += 1
    assert await replica.look()
    assert replica.shown not in (None, before)
    cluster.away = True
    assert not await replica.look()
    assert tls.ready


async def test_a_front_proxy_that_cannot_be_read_is_not_believed_and_the_last_one_holds() -> None:
    cluster = Cluster()
    replica, tls = cluster.replica()
    cluster.front_proxy = "-----BEGIN CERTIFICATE-----\nbm9uZQ==\n-----END CERTIFICATE-----\n"
    assert not await replica.look()
    assert replica.front_proxy is None
    assert not tls.ready
    cluster.front_proxy = trustme.CA().cert_pem.bytes().decode()
    assert await replica.look()
    good = replica.front_proxy
    cluster.front_proxy = "nothing"
    assert not await replica.look()
    assert replica.front_proxy == good
    assert tls.ready

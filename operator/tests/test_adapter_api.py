"""The metrics adapter's HTTPS over real sockets: certificates that change, callers, paths; and KEDA over real gRPC."""

import asyncio
import json
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import httpx2
import msgspec
import pytest
import trustme
from aiohttp import web
from externalscaler import externalscaler_pb2 as pb
from externalscaler import externalscaler_pb2_grpc as service
from google.protobuf.descriptor import ServiceDescriptor
from metrics_adapter.api import MetricsApi
from metrics_adapter.authorization import ALLOWED_SECONDS, Access, Authorizer
from metrics_adapter.certificates import renewed
from metrics_adapter.front_proxy import FrontProxy, User, read_front_proxy
from metrics_adapter.metrics import AdapterMetrics
from metrics_adapter.scaler import serve_scaler
from metrics_adapter.tls import Tls
from operator_factories import inputs, stack
from streaming_operator import names
from streaming_operator.api_errors import ApiUnreachable
from streaming_operator.api_server import ApiServer
from streaming_operator.children.autoscaling import autoscaling
from streaming_operator.children.optional_apis import SCALED_OBJECT
from test_adapter_load import World

NAME = "adapter.system.svc"
METRICS = f"/apis/custom.metrics.k8s.io/v1beta2/namespaces/here/pods/*/{names.GATEWAY_LOAD}"
JANE = {"X-Remote-User": "jane"}


def _front_proxy(ca: str) -> FrontProxy:
    return read_front_proxy(
        {
            "requestheader-client-ca-file": ca,
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
        }
    )


def _pem(ca: trustme.CA) -> str:
    return ca.cert_pem.bytes().decode()


class Reviews:
    """An API server that lets jane read metrics of namespace `here`."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.away = False
        self.jane = True
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer), base_url="http://api")
        self.authorizer = Authorizer(ApiServer(http), lambda: self.now)
        self.now = 0.0

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.away:
            raise httpx2.ConnectError("away")
        spec = json.loads(request.content)["spec"]
        self.asked.append(spec)
        allowed = self.jane and spec["user"] == "jane" and spec["resourceAttributes"]["namespace"] == "here"
        return httpx2.Response(201, json={"status": {"allowed": allowed}})


class Api:
    """The API on loopback, and callers of it."""

    def __init__(self) -> None:
        self.world = World(headroom=1)
        self.reviews = Reviews()
        self.tls = Tls()
        self.proxy_ca = trustme.CA()
        self.front_proxy: FrontProxy | None = None
        self.port = 0
        api = MetricsApi(
            self.world.loads, self.reviews.authorizer, lambda: self.front_proxy, self.tls, AdapterMetrics()
        )
        self.app = api.application()

    def believe(self, ca: trustme.CA) -> None:
        """The API server's ConfigMap names this CA."""
        self.front_proxy = _front_proxy(_pem(ca))
        self.tls.set_client_ca(_pem(ca))

    def show(self, now: datetime | None = None) -> str:
        """A new certificate; returns the CAs."""
        identity = renewed(None, NAME, now or datetime.now(UTC))
        assert identity is not None
        self.tls.set_identity(identity)
        return identity.authorities

    async def ask(
        self, path: str = METRICS, *, caller: str | None = "front-proxy-client", ca: trustme.CA | None = None,
        trusted: str = "", headers: dict[str, str] = JANE, method: str = "GET",
    ) -> tuple[int, dict[str, Any]]:  # fmt: skip
        """Status and document, over a connection of its own."""
        connector = aiohttp.TCPConnector(ssl=self.caller(caller, ca or self.proxy_ca, trusted))
        url = f"https://127.0.0.1:{self.port}{path}"
        async with (
            aiohttp.ClientSession(connector=connector) as client,
            client.request(method, url, headers=headers, server_hostname=NAME) as answer,
        ):
            return answer.status, await answer.json()

    def caller(self, name: str | None, ca: trustme.CA, trusted: str = "") -> ssl.SSLContext:
        """TLS of a caller with a certificate of that name."""
        context = ssl.create_default_context(cadata=trusted or None)
        if not trusted:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if name is not None:
            pair = ca.issue_cert(common_name=name)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "pair"
                pair.private_key_and_cert_chain_pem.write_to_path(str(file))
                context.load_cert_chain(file)
        return context


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    made = Api()
    made.believe(made.proxy_ca)
    made.show()
    made.world.says(made.world.pod("a"), time.monotonic(), 4)
    runner = web.AppRunner(made.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=made.tls.context).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


async def test_the_front_proxy_reads_for_a_user_with_the_right(api: Api) -> None:
    code, found = await api.ask(trusted=api.show())
    assert (code, [item["value"] for item in found["items"]]) == (200, ["5"])
    assert api.reviews.asked[0]["resourceAttributes"] == {
        "verb": "get",
        "group": "custom.metrics.k8s.io",
        "version": "v1beta2",
        "namespace": "here",
        "resource": "pods",
        "subresource": names.GATEWAY_LOAD,
        "name": "*",
    }
    assert (await api.ask(METRICS.replace("*", "%2A")))[0] == 200, "as the autoscaler writes it"


async def test_everybody_else_is_told_so_in_kubernetes_form(api: Api) -> None:
    for caller, headers in ((None, JANE), ("somebody", JANE), ("front-proxy-client", {})):
        code, found = await api.ask(caller=caller, headers=headers)
        assert (code, found["kind"], found["reason"], found["code"]) == (401, "Status", "Unauthorized", 401)
        assert (await api.ask("/apis", caller=caller, headers=headers))[0] == 401, "not even discovery"
    with pytest.raises((aiohttp.ClientError, ConnectionError)):
        await api.ask(ca=trustme.CA())  # the name is right, the CA is not
    code, found = await api.ask(headers={"X-Remote-User": "joe"})
    assert (code, found["reason"]) == (403, "Forbidden")
    assert (await api.ask(METRICS.replace("/here/", "/there/")))[0] == 403
    assert all(spec["user"] in ("jane", "joe") for spec in api.reviews.asked), "nobody else is asked about"


async def test_until_the_front_proxy_is_known_nobody_is_served(api: Api) -> None:
    api.front_proxy = None
    assert (await api.ask())[0] == 401


async def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on(api: Api) -> None:
    before = api.show()
    connector = aiohttp.TCPConnector(ssl=api.caller("front-proxy-client", api.proxy_ca, before), limit=1)
    url = f"https://127.0.0.1:{api.port}{METRICS}"
    async with aiohttp.ClientSession(connector=connector, headers=JANE) as client:
        async with client.get(url, server_hostname=NAME) as answer:
            assert answer.status == 200
        after = api.show()
        async with client.get(url, server_hostname=NAME) as answer:
            assert answer.status == 200
    assert (await api.ask(trusted=after))[0] == 200
    with pytest.raises(aiohttp.ClientConnectorError):
        await api.ask(trusted=before)


async def test_a_ca_that_is_believed_no_more_closes_even_the_connections_that_it_opened(api: Api) -> None:
    connector = aiohttp.TCPConnector(ssl=api.caller("front-proxy-client", api.proxy_ca), limit=1)
    url = f"https://127.0.0.1:{api.port}{METRICS}"
    following = trustme.CA()
    async with aiohttp.ClientSession(connector=connector, headers=JANE) as client:
        async with client.get(url) as answer:
            assert answer.status == 200
        api.believe(following)
        async with client.get(url) as answer:
            assert (answer.status, answer.headers["Connection"]) == (401, "close")
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await client.get(url)
    assert (await api.ask(ca=following))[0] == 200


CODES = [
    ("/apis", 200, "APIGroupList"),
    ("/apis/custom.metrics.k8s.io", 200, "APIGroup"),
    ("/apis/custom.metrics.k8s.io/v1beta2", 200, "APIResourceList"),
    ("/apis/custom.metrics.k8s.io/v1beta1", 404, "Status"),
    (METRICS + "?labelSelector=app.kubernetes.io/component%3Dgateway", 200, "MetricValueList"),
    (METRICS + "?labelSelector=a%20b", 400, "Status"),
    (METRICS + "?metricLabelSelector=%3D", 400, "Status"),
    (METRICS.replace("*", "a"), 200, "MetricValueList"),
    (METRICS.replace("*", "missing"), 404, "Status"),
    (METRICS + "_nobody_knows", 404, "Status"),
    (METRICS.replace("/pods/", "/services/"), 404, "Status"),
    ("/", 404, "Status"),
]


@pytest.mark.parametrize(("path", "code", "kind"), CODES)
async def test_every_path_answers_in_kubernetes_form(api: Api, path: str, code: int, kind: str) -> None:
    found = await api.ask(path)
    assert (found[0], found[1]["kind"]) == (code, kind)


async def test_a_selector_of_metrics_selects_none_as_ours_have_no_labels(api: Api) -> None:
    assert (await api.ask(METRICS + "?metricLabelSelector=verb%3DGET"))[1]["items"] == []
    assert (await api.ask(METRICS + "?metricLabelSelector=%21verb"))[1]["items"]


async def test_metrics_are_only_read(api: Api) -> None:
    for method in ("POST", "PUT", "DELETE"):
        code, found = await api.ask(method=method)
        assert (code, found["reason"]) == (405, "MethodNotAllowed")


async def test_openapi_is_empty_and_sane(api: Api) -> None:
    assert (await api.ask("/openapi/v2"))[1]["swagger"] == "2.0"
    assert (await api.ask("/openapi/v3"))[1] == {"paths": {}}


async def test_while_nobody_says_who_may_read_nobody_reads(api: Api) -> None:
    api.reviews.away = True
    code, found = await api.ask()
    assert (code, found["reason"]) == (503, "ServiceUnavailable")


async def test_a_verdict_is_kept_for_seconds_and_a_right_that_went_is_gone_after_them() -> None:
    reviews, access = Reviews(), Access("here", "*", names.GATEWAY_LOAD)
    jane = User("jane", ("a",), "7", (("scopes", ("x",)),))
    for _ in range(3):
        assert await reviews.authorizer.allows(jane, access)
    assert len(reviews.asked) == 1
    assert {key: reviews.asked[0][key] for key in ("user", "groups", "uid", "extra")} == {
        "user": "jane",
        "groups": ["a"],
        "uid": "7",
        "extra": {"scopes": ["x"]},
    }
    reviews.jane = False
    assert await reviews.authorizer.allows(jane, access)
    reviews.now = ALLOWED_SECONDS
    assert not await reviews.authorizer.allows(jane, access)
    assert not await reviews.authorizer.allows(User("joe"), access)
    reviews.away, reviews.now = True, 99
    with pytest.raises(ApiUnreachable):
        await reviews.authorizer.allows(jane, access)


@pytest.fixture
async def keda() -> AsyncIterator[tuple[World, Any]]:
    """The scaler, and KEDA's side of a channel to it."""
    world = World(headroom=2)
    async with (
        serve_scaler(world.loads, "127.0.0.1", 0) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield world, service.ExternalScalerStub(channel)


def _triggers() -> dict[str, dict[str, str]]:
    """The metadata that the operator writes, by component."""
    told = inputs(apis=frozenset({SCALED_OBJECT}), scaler_address="adapter.system.svc:9091")
    made = [child.manifest() for child in autoscaling(stack(autoscaling={"provider": "KEDA"}), told)]
    found = [manifest["spec"]["triggers"][0]["metadata"] for manifest in made]
    return {metadata["component"]: metadata for metadata in found}


async def test_keda_is_told_the_load_of_what_the_operator_has_it_scale(keda: tuple[World, Any]) -> None:
    world, stub = keda
    metadata = _triggers()[names.GATEWAY] | {"stack": "demo"}
    reference = pb.ScaledObjectRef(name="demo-gateway", namespace="here", scalerMetadata=metadata)
    with pytest.raises(grpc.aio.AioRpcError, match="tells its load") as unknown:
        await stub.GetMetrics(pb.GetMetricsRequest(scaledObjectRef=reference))
    assert unknown.value.code() is grpc.StatusCode.UNAVAILABLE, "KEDA then leaves the size alone"
    for name, active in (("a", 7), ("b", 1)):
        world.says(world.pod(name), time.monotonic(), active)
    [spec] = (await stub.GetMetricSpec(reference)).metricSpecs
    assert (spec.metricName, spec.targetSize, spec.targetSizeFloat) == (names.GATEWAY_LOAD, 24, 24.0)
    asked = pb.GetMetricsRequest(scaledObjectRef=reference, metricName=spec.metricName)
    [value] = (await stub.GetMetrics(asked)).metricValues
    assert (value.metricName, value.metricValue, value.metricValueFloat) == (spec.metricName, 10, 10.0)
    assert (await stub.IsActive(reference)).result, "never to zero"
    stream = stub.StreamIsActive(reference)
    assert (await asyncio.wait_for(stream.read(), 30)).result
    stream.cancel()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"stack": ""}, "metadata.stack"),
        ({"component": "license-proxy"}, "metadata.component"),
        ({"component": "asr"}, "metadata.model"),
        ({"model": "en"}, "metadata.model"),
        ({"target": "0"}, "metadata.target"),
        ({"target": "-3"}, "metadata.target"),
        ({"target": "many"}, "metadata.target"),
    ],
)
async def test_a_trigger_of_another_hand_is_refused_with_the_field(
    keda: tuple[World, Any], change: dict[str, str], field: str
) -> None:
    good = {"stack": "demo", "component": names.GATEWAY, "target": "4"}
    reference = pb.ScaledObjectRef(namespace="here", scalerMetadata=good | change)
    with pytest.raises(grpc.aio.AioRpcError, match=field) as wrong:
        await keda[1].GetMetricSpec(reference)
    assert wrong.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_interface_is_the_one_that_keda_published() -> None:
    """Names, numbers and types as in kedacore/keda, pkg/scalers/externalscaler/externalscaler.proto."""
    described: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["ExternalScaler"]
    assert described.full_name == "externalscaler.ExternalScaler"
    methods = {it.name: (it.input_type.name, it.output_type.name) for it in described.methods}
    assert methods == {
        "IsActive": ("ScaledObjectRef", "IsActiveResponse"),
        "StreamIsActive": ("ScaledObjectRef", "IsActiveResponse"),
        "GetMetricSpec": ("ScaledObjectRef", "GetMetricSpecResponse"),
        "GetMetrics": ("GetMetricsRequest", "GetMetricsResponse"),
    }
    # As KEDA would send it: field 1 "x", field 2 "y", field 3 a map.
    sent = b"\x0a\x01x\x12\x01y\x1a\x06\x0a\x01k\x12\x01v"
    assert pb.ScaledObjectRef.FromString(sent) == pb.ScaledObjectRef(name="x", namespace="y", scalerMetadata={"k": "v"})
    value = pb.MetricValue(metricName="m", metricValue=3, metricValueFloat=2.5)
    assert value.SerializeToString() == b"\x0a\x01m\x10\x03\x19\x00\x00\x00\x00\x00\x00\x04@"
    spec = pb.MetricSpec(metricName="m", targetSize=3, targetSizeFloat=2.5)
    assert spec.SerializeToString() == value.SerializeToString()
    assert msgspec.json.encode([field.number for field in pb.GetMetricsRequest.DESCRIPTOR.fields]) == b"[1,2]"

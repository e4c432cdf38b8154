"""The aggregated API over HTTPS: who asks, what for, and the answer."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from service_kit.faults import place_of
from service_kit.logs import get_logger
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable

from metrics_adapter import answers
from metrics_adapter.authorization import Access, Authorizer
from metrics_adapter.catalogue import METRICS
from metrics_adapter.front_proxy import FrontProxy, Unauthenticated, User
from metrics_adapter.load import Loads
from metrics_adapter.metrics import AdapterMetrics
from metrics_adapter.selectors import SelectorError, selector
from metrics_adapter.tls import Tls

_USER: web.RequestKey[User] = web.RequestKey("user", User)
_ROOT = f"/apis/{answers.API_VERSION}"

log = get_logger(__name__)


class MetricsApi:
    """`front_proxy` is asked each time: None until the API server's ConfigMap has been read."""

    def __init__(
        self,
        loads: Loads,
        authorizer: Authorizer,
        front_proxy: Callable[[], FrontProxy | None],
        tls: Tls,
        metrics: AdapterMetrics,
    ) -> None:
        self._loads = loads
        self._authorizer = authorizer
        self._front_proxy = front_proxy
        self._tls = tls
        self._metrics = metrics

    def application(self) -> web.Application:
        """The routes. Discovery is for every user that the API server lets through, as its own is."""
        app = web.Application(middlewares=[self._guard])
        fixed = {
            "/apis": answers.API_GROUPS,
            f"/apis/{answers.GROUP}": answers.API_GROUP,
            _ROOT: answers.API_RESOURCES,
            "/openapi/v2": answers.OPENAPI_V2,
            "/openapi/v3": answers.OPENAPI_V3,
        }
        for path, document in fixed.items():
            app.router.add_get(path, _always(document))
        app.router.add_get(_ROOT + "/namespaces/{namespace}/pods/{pod}/{metric}", self._pods)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Nobody but the front proxy gets any further; whatever fails is told as a Status."""
        try:
            request[_USER] = self._user(request)
            return await handler(request)
        except Unauthenticated as refused:
            return _failure(401, str(refused))
        except web.HTTPNotFound:
            return _failure(404, "the server could not find the requested resource")
        except web.HTTPMethodNotAllowed:
            return _failure(405, f"{request.method} is not supported: metrics are only read")
        except web.HTTPException as refused:
            return _failure(400, refused.reason)
        except Exception as failure:  # noqa: BLE001
            log.error("a request failed", kind=type(failure).__name__, place=place_of(failure))
            return _failure(500, "an internal error; the adapter's log has its place")

    def _user(self, request: web.Request) -> User:
        front_proxy = self._front_proxy()
        if front_proxy is None:
            raise Unauthenticated("who the front proxy is has not been read yet")
        tls = request.transport.get_extra_info("ssl_object") if request.transport else None
        return front_proxy.user(self._tls.common_name(tls), list(request.headers.items()))

    async def _pods(self, request: web.Request) -> web.Response:
        since = time.perf_counter()
        response = await self._values(request)
        self._metrics.answer_seconds.observe(time.perf_counter() - since)
        self._metrics.answers.labels(str(response.status)).inc()
        return response

    async def _values(self, request: web.Request) -> web.Response:
        access = Access(*(request.match_info[part] for part in ("namespace", "pod", "metric")))
        user = request[_USER]
        try:
            allowed = await self._authorizer.allows(user, access)
        except (ApiRefusal, ApiUnreachable) as failure:
            log.warning("nobody says who may read metrics", problem=str(failure))
            return _failure(503, "the API server does not say whether this is allowed; try again")
        if not allowed:
            what = f'pods/{access.metric}.{answers.GROUP} "{access.pod}"'
            where = f'in API group "{answers.GROUP}" in the namespace "{access.namespace}"'
            return _failure(403, f'{what} is forbidden: User "{user.name}" cannot get resource "pods" {where}')
        return self._answer(
            access, request.query.get("labelSelector", ""), request.query.get("metricLabelSelector", "")
        )

    def _answer(self, access: Access, labels: str, metric_labels: str) -> web.Response:
        part = METRICS.get(access.metric)
        if part is None:
            return _failure(404, f"there is no metric {access.metric}; there are {', '.join(sorted(METRICS))}")
        try:
            of_pods, of_metrics = selector(labels), selector(metric_labels)
        except SelectorError as wrong:
            return _failure(400, str(wrong))
        now = time.monotonic()
        if access.pod == "*":
            pods = [pod for pod in self._loads.pods.of_namespace(access.namespace) if of_pods(pod.labels)]
        else:
            one = self._loads.pods.get(access.namespace, access.pod)
            pods = [one] if one is not None and of_pods(one.labels) else []
        # Our metrics have no labels of their own.
        values = self._loads.values(access.metric, part, pods, now) if of_metrics({}) else []
        if access.pod != "*" and not values:
            return _failure(404, f"pod {access.pod} has no value of {access.metric}: it ends, drains or is silent")
        return _json(answers.metric_values(access.metric, values))


def _always(document: Any) -> Callable[[web.Request], Awaitable[web.Response]]:
    body = msgspec.json.encode(document)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return answer


def _json(document: Any, code: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), status=code, content_type="application/json")


def _failure(code: int, message: str) -> web.Response:
    response = _json(answers.status(code, message), code)
    if code == 401:
        # Such as one whose CA was replaced: it is to come again, and show itself anew.
        response.force_close()
    return response

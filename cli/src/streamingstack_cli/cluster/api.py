"""The API server as the command asks it: found by a kubeconfig, its refusals told with what to do."""

import contextlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml
from lightkube.config.client_adapter import ConnectionParams
from lightkube.config.kubeconfig import KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError

from streamingstack_cli.cluster.reach import Reach
from streamingstack_cli.errors import CommandError

STACKS = "apis/streamingstack.dev/v1alpha1"
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_PAGE = 500
_PATIENCE = httpx2.Timeout(30, connect=10)

Object = dict[str, Any]


class ForbiddenError(CommandError):
    """This user may not; the text says what."""


@dataclass(frozen=True)
class Cluster:
    """A cluster, and the namespace that is meant where none is named."""

    server: str
    namespace: str
    http: httpx2.AsyncClient

    async def get(self, path: str) -> Object | None:
        """One object, or any other JSON document; None where there is none. Raises CommandError."""
        answer = await self._ask(path)
        return None if answer is None else _json(answer)

    async def items(self, path: str, **query: str) -> list[Object]:
        """All objects of a list; none where the API server does not know the kind. Raises CommandError."""
        found: list[Object] = []
        page: Mapping[str, str] = {**query, "limit": str(_PAGE)}
        while True:
            answer = await self._ask(path, page)
            if answer is None:
                return found
            body = _json(answer)
            found += body.get("items") or []
            more = body.get("metadata", {}).get("continue")
            if not more:
                return found
            page = {**page, "continue": more}

    async def text(self, path: str, seconds: float = 10.0, **query: str) -> str | None:
        """Anything else, such as a log or what a pod answers; None where there is nothing. Raises CommandError."""
        answer = await self._ask(path, query, seconds)
        return None if answer is None else answer.text

    async def _ask(
        self, path: str, query: Mapping[str, str] | None = None, seconds: float | None = None
    ) -> httpx2.Response | None:
        patience = _PATIENCE if seconds is None else httpx2.Timeout(seconds)
        try:
            answer = await self.http.get(path, params=query, timeout=patience)
        except (httpx2.HTTPError, ConfigError, OSError) as failure:
            raise CommandError(
                f"no answer from {self.server} ({failure or type(failure).__name__}); check the network and the "
                "context: kubectl config get-contexts"
            ) from None
        if answer.status_code == 404:
            return None
        if answer.is_error:
            raise _refusal(answer)
        return answer


def _json(answer: httpx2.Response) -> Object:
    try:
        body: Object = answer.json()
    except ValueError:
        raise CommandError(
            f"{answer.url.host} does not answer as a Kubernetes API server does; check the kubeconfig"
        ) from None
    return body


def _refusal(answer: httpx2.Response) -> CommandError:
    try:
        message = str(answer.json().get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    if answer.status_code == 401:
        return CommandError("the cluster does not know you (HTTP 401); log in again, or choose another --context")
    if answer.status_code == 403:
        return ForbiddenError(f"not allowed: {message}; ask for that right, or name a namespace of yours with -n")
    return CommandError(f"the API server answered HTTP {answer.status_code}: {message or 'no reason given'}")


@contextlib.asynccontextmanager
async def cluster(reach: Reach) -> AsyncIterator[Cluster]:
    """The cluster that is meant. Raises CommandError with status 2 where the kubeconfig leads nowhere."""
    config = _config(reach)
    try:
        parameters = ConnectionParams(timeout=_PATIENCE, trust_env=False).httpx_params(config)
    except (ConfigError, OSError, ValueError, AssertionError) as unusable:
        raise CommandError(f"the kubeconfig's context {config.context_name} cannot be used: {unusable}", 2) from None
    async with httpx2.AsyncClient(**parameters) as http:
        yield Cluster(config.cluster.server, reach.namespace or config.namespace, http)


def _config(reach: Reach) -> SingleConfig:
    file = reach.kubeconfig or _first(os.environ.get("KUBECONFIG", ""))
    try:
        if file is None and _SERVICE_ACCOUNT.exists():
            found = KubeConfig.from_service_account()
        else:
            found = KubeConfig.from_file(file or Path("~/.kube/config"))
        config = found.get(reach.context)
    except (ConfigError, OSError) as missing:
        raise CommandError(
            f"no cluster: {missing}; name a kubeconfig with --kubeconfig or KUBECONFIG, and a context of it with "
            "--context",
            2,
        ) from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError):
        raise CommandError(f"{file}: not a kubeconfig; write it anew with your cluster's own tool", 2) from None
    if config is None:
        raise CommandError(f"{file}: no current context; choose one with --context", 2)
    return config


def _first(paths: str) -> Path | None:
    """Of several files the first that is there, as most tools write to it."""
    named = [Path(path).expanduser() for path in paths.split(os.pathsep) if path]
    return next((path for path in named if path.is_file()), named[0] if named else None)


async def stack_of(cluster: Cluster, name: str) -> Object:
    """One stack of the namespace. Raises CommandError that names those that are there."""
    found = await cluster.get(f"{STACKS}/namespaces/{cluster.namespace}/streamingstacks/{name}")
    if found is not None:
        return found
    await require_stacks(cluster)
    there = await cluster.items(f"{STACKS}/namespaces/{cluster.namespace}/streamingstacks")
    names = ", ".join(sorted(stack["metadata"]["name"] for stack in there)) or "none"
    raise CommandError(
        f"no stack {name} in namespace {cluster.namespace} (there: {names}); choose the namespace with -n", 2
    )


async def require_stacks(cluster: Cluster) -> None:
    """Raise CommandError where the cluster knows no StreamingStacks."""
    if await cluster.get(STACKS) is None:
        raise CommandError(
            "this cluster does not know StreamingStacks; install the operator: "
            "helm install streaming-stack charts/streaming-stack"
        )


def printed(document: Object) -> str:
    """JSON for people."""
    return json.dumps(document, indent=2, ensure_ascii=False)

"""What a measured API server is filled with: namespaces, licences, stacks of two models, their pods."""

import asyncio
import sys
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from license_token import SigningKey, development_claims, issue
from stack_model.crd import definition
from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal
from streaming_operator.api_server import ApiServer
from streaming_operator.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, POD, SECRET, STACK, Kind

NAMESPACES = 10
SIDE_BY_SIDE = 16
NAMESPACE = Kind("", "v1", "Namespace", "namespaces")
SERVICE_ACCOUNT = Kind("", "v1", "ServiceAccount", "serviceaccounts")
# Of one stack: two gateways, licence proxies and load balancers, the model store, a recogniser of each model.
PODS = (
    *((names.GATEWAY, "") for _ in range(2)),
    *((names.LICENSE_PROXY, "") for _ in range(2)),
    *((names.LOAD_BALANCER, "") for _ in range(2)),
    (names.MODEL_STORE, ""),
    (names.ASR, "en-default"),
    (names.ASR, "ml-default"),
)


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


async def put(api: ApiServer, kind: Kind, namespace: str | None, body: dict[str, Any]) -> None:
    """Make one object; one that is there already is fine."""
    try:
        await api.create(kind, namespace or "", msgspec.json.encode(body))
    except ApiRefusal as refusal:
        if refusal.code != 409:
            raise


def stack(namespace: str, name: str) -> dict[str, Any]:
    """A stack of two models."""
    models = [
        {"name": "en-default", "speechModels": ["universal-streaming-english"], "source": "hf://example/english@v1"},
        {"name": "ml-default", "speechModels": ["universal-streaming-multilingual"], "source": "hf://example/many@v1"},
    ]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": STACK.api_version, "kind": STACK.name, "metadata": metadata, "spec": {"models": models}}


def licence() -> list[tuple[Kind, dict[str, Any]]]:
    """A licence for every stack of a namespace, and the keys that verify it."""
    key = SigningKey.generate()
    token = issue(development_claims("bench", datetime.now(UTC)), key.private_key, key.key_id)
    keys = {"public-keys.json": key.public_keys().to_json()}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "license"},
        "stringData": {"license.jwt": token},
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "license-keys"}, "data": keys}
    return [(SECRET, secret), (CONFIG_MAP, config)]


def pod(stack_name: str, number: int, component: str, model: str) -> dict[str, Any]:
    """A pod such as the controllers would make, with what kubelets add."""
    labels = names.labels(stack_name, component, model or None)
    container = {
        "name": "main",
        "image": "streamingstack/bench:1",
        "env": [{"name": f"SETTING_{n}", "value": "x" * 40} for n in range(20)],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{stack_name}-{component}-{number}", "labels": labels},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


async def gathered(work: list[Any]) -> None:
    """All of it, some side by side."""
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(coroutine: Any) -> None:
        async with gate:
            await coroutine

    await asyncio.gather(*(one(item) for item in work))


async def make_namespaces(api: ApiServer) -> list[str]:
    """The definition of StreamingStacks, and namespaces in each of which there is a licence; returns their names."""
    crd = definition()
    await api.apply(CUSTOM_RESOURCE_DEFINITION, None, crd["metadata"]["name"], msgspec.json.encode(crd))
    spaces = [f"bench-{number}" for number in range(NAMESPACES)]
    for space in spaces:
        metadata = {"metadata": {"name": space}}
        await put(api, NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", **metadata})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
        await put(api, SERVICE_ACCOUNT, space, account)
        for kind, body in licence():
            await put(api, kind, space, body)
    await asyncio.sleep(2)
    return spaces


async def make_stacks(api: ApiServer, where: list[tuple[str, str]]) -> None:
    """A stack for each namespace and name."""
    await gathered([put(api, STACK, space, stack(space, name)) for space, name in where])


async def make_pods(api: ApiServer, where: list[tuple[str, str]]) -> None:
    """All pods of these stacks."""
    say("pods")
    await gathered(
        [put(api, POD, space, pod(name, number, *part)) for space, name in where for number, part in enumerate(PODS)]
    )

"""How many writes the deletion costs of many pods are: a second, and in all, against a real API server.

Every pod of one stack gets a session in the same moment, which is the worst there is.

usage: python operator/bench/costs.py [--pods 1000]
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
from e2e_cluster.api_server import start_api
from streaming_operator import names
from streaming_operator.api_errors import ApiRefusal
from streaming_operator.api_server import ApiServer, connect
from streaming_operator.cache import Cache
from streaming_operator.cost_writer import CostWriter
from streaming_operator.kinds import DEPLOYMENT, POD, Key, Kind
from streaming_operator.metrics import OperatorMetrics
from streaming_operator.reading import Reading
from streaming_operator.seen import Metadata, Seen, seen

KEY = Key("default", "demo")
WORKLOAD, TEMPLATE = "demo-gateway", "5d8f7c9b6"
SIDE_BY_SIDE = 8


def pod(number: int) -> dict[str, Any]:
    """As a ReplicaSet would make it."""
    labels = names.labels(KEY.name, names.GATEWAY) | {"pod-template-hash": TEMPLATE}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{WORKLOAD}-{TEMPLATE}", "uid": "rs"}
    metadata = {"name": f"{WORKLOAD}-{TEMPLATE}-{number}", "labels": labels, "ownerReferences": [owner]}
    spec = {"containers": [{"name": "gateway", "image": "bench:1"}], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def made(api: ApiServer, cache: Cache, pods: int) -> None:
    """The pods, and a Deployment that looks as if a stack had it."""
    owner = {"kind": "StreamingStack", "name": KEY.name, "uid": "stack"}
    metadata = {"name": WORKLOAD, "labels": names.labels(KEY.name, names.GATEWAY), "ownerReferences": [owner]}
    cache.put(KEY, DEPLOYMENT, WORKLOAD, seen(DEPLOYMENT, msgspec.json.encode({"metadata": metadata}))[1])
    account = Kind("", "v1", "ServiceAccount", "serviceaccounts")
    try:
        await api.create(account, KEY.namespace, b'{"metadata":{"name":"default"}}')
    except ApiRefusal as refusal:
        if refusal.code != 409:
            raise
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(number: int) -> None:
        async with gate:
            metadata, sight = seen(POD, await api.create(POD, KEY.namespace, msgspec.json.encode(pod(number))))
            cache.put(KEY, POD, metadata.name, sight)

    await asyncio.gather(*(one(number) for number in range(pods)))


async def measure(pods: int, folder: Path) -> None:
    """Write the rows of the table."""
    with start_api(folder, say=lambda text: None) as server:
        async with connect(str(server.kubeconfig)) as http:
            stamps: list[float] = []
            api = ApiServer(http, lambda verb, *_: stamps.append(time.monotonic()) if verb == "PATCH" else None)
            cache = Cache()
            await made(api, cache, pods)

            def sighted(kind: Kind, metadata: Metadata, sight: Seen) -> None:
                cache.put(KEY, kind, metadata.name, sight)

            writer = CostWriter(api, cache, lambda _: Reading(active=1), sighted, OperatorMetrics())
            used, began = resource.getrusage(resource.RUSAGE_SELF).ru_utime, time.monotonic()
            task = asyncio.create_task(writer.run())
            writer.taken(KEY)
            while len(stamps) < pods:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.1)
            task.cancel()
            took = time.monotonic() - began
            spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime - used
            most = max(sum(start <= stamp < start + 1 for stamp in stamps) for start in stamps)
            writer.taken(KEY)
            began = time.perf_counter()
            assert await writer.write() == 0
            decided = (time.perf_counter() - began) * 1000
            sys.stdout.write(
                f"| pods of one stack that all get a session at once | {pods} |\n"
                f"| until every cost is written; writes | {took:.0f} s; {len(stamps)} |\n"
                f"| most writes within any second | {most} |\n"
                f"| CPU of the operator meanwhile | {spent / took:.1%} of a core |\n"
                f"| a reading of all of them that calls for no write | {decided:.1f} ms |\n"
            )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(given.pods, Path(folder) / "api"))


if __name__ == "__main__":
    main()

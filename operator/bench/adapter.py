"""How the metrics adapter bears many pods: time of an answer, memory and processor time, while all pods are asked.

Raises an API server of its own and makes N gateway pods of some stacks. Their metrics are served by one process at a
loopback address of each pod, as a gateway exports them. The adapter is a process of its own, and is asked through the
API server's aggregation, as the HPA controller asks: every stack's pods, by their Deployment's selector.

usage: python operator/bench/adapter.py [--pods 1000] [--stacks 20] [--seconds 120] [--markdown FILE]
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
from e2e_cluster.api_server import start_api
from population import NAMESPACE, SERVICE_ACCOUNT, gathered, pod, put, say
from stack_model.crd import definition
from streaming_operator import names
from streaming_operator.api_server import ApiServer, connect
from streaming_operator.kinds import CUSTOM_RESOURCE_DEFINITION, POD, SECRET, STACK, Kind
from subject import SPEAKING, free_port, process
from talking_pods import metrics_text, run_pod

SPACE = "bench"
SERVICE = Kind("", "v1", "Service", "services")
API = "/apis/custom.metrics.k8s.io/v1beta2"
# How often the HPA controller looks at each HPA.
HPA_SECONDS = 15.0
TITLE = "## The metrics adapter with many pods"


def used(pid: int) -> tuple[float, float, float]:
    """Resident now and at its highest in MiB, and processor seconds so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    words = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith("Vm")}
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return int(words["VmRSS"]) / 1024, int(words["VmHWM"]) / 1024, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def exported(port: int) -> str:
    """The adapter's own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        return str(response.read().decode())


async def make(api: ApiServer, pods: int, stacks: int) -> None:
    """Stacks and their gateway pods, running as a kubelet would say."""
    crd = definition()
    await api.apply(CUSTOM_RESOURCE_DEFINITION, None, crd["metadata"]["name"], msgspec.json.encode(crd))
    await put(api, NAMESPACE, None, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    await put(api, SERVICE_ACCOUNT, SPACE, account)
    await put(api, SECRET, SPACE, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}})
    external = {"type": "ExternalName", "externalName": "localhost"}
    await put(
        api, SERVICE, SPACE, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "adapter"}, "spec": external}
    )
    await asyncio.sleep(3)
    model = {"name": "en", "speechModels": ["universal-streaming-english"], "source": "hf://example/english@v1"}
    for number in range(stacks):
        metadata = {"name": f"stack-{number}"}
        body = {"apiVersion": STACK.api_version, "kind": STACK.name, "metadata": metadata, "spec": {"models": [model]}}
        await put(api, STACK, SPACE, body)

    async def one(number: int) -> None:
        body = pod(f"stack-{number % stacks}", number, names.GATEWAY, "")
        await put(api, POD, SPACE, body)
        await run_pod(api, SPACE, body["metadata"]["name"], number)

    await gathered([one(number) for number in range(pods)])


async def ask(http: Any, stack: str) -> tuple[float, int, int]:
    """Seconds, pods and bytes of an answer about one stack's gateways."""
    selector = ",".join(f"{key}={value}" for key, value in names.selector(stack, names.GATEWAY).items())
    path = f"{API}/namespaces/{SPACE}/pods/%2A/{names.GATEWAY_LOAD}?labelSelector={urllib.parse.quote(selector)}"
    since = time.perf_counter()
    answer = await http.get(path)
    took = time.perf_counter() - since
    answer.raise_for_status()
    return took, len(answer.json()["items"]), len(answer.content)


async def measure(pods: int, stacks: int, seconds: float, folder: Path) -> list[tuple[str, str]]:
    """The rows of the table."""
    port, probes = free_port(), free_port()
    with start_api(folder / "api", say=say) as server:
        async with connect(str(server.kubeconfig)) as http:
            say("pods")
            await make(ApiServer(http), pods, stacks)
            environment = {
                "KUBECONFIG": str(server.kubeconfig), "POD_NAMESPACE": SPACE, "SERVICE_NAME": "adapter",
                "TLS_SECRET": "tls", "API_PORT": str(port), "SERVICE_PORT": str(port), "PROBE_PORT": str(probes),
                "SCALER_PORT": "0",
            }  # fmt: skip
            with (
                process(SPEAKING, {}, stdout=subprocess.PIPE) as served,
                process([sys.executable, "-m", "metrics_adapter", "run"], environment) as adapter,
            ):
                assert served.stdout is not None
                await asyncio.to_thread(served.stdout.readline)
                return await _asked(http, pods, stacks, seconds, adapter.pid, probes)


async def _asked(http: Any, pods: int, stacks: int, seconds: float, pid: int, probes: int) -> list[tuple[str, str]]:
    await _until_all_are_told(http, stacks, pods)
    await asyncio.sleep(20)
    say("asking as HPAs do")
    took: list[float] = []
    size = 0
    before, begun = used(pid), time.monotonic()
    while time.monotonic() - begun < seconds:
        round_began = time.monotonic()
        for number in range(stacks):
            each, _, bytes_ = await ask(http, f"stack-{number}")
            took.append(each)
            size = max(size, bytes_)
            await asyncio.sleep(HPA_SECONDS / stacks / 2)
        await asyncio.sleep(max(0.0, round_began + HPA_SECONDS - time.monotonic()))
    after, lasted = used(pid), time.monotonic() - begun
    whole = f"{API}/namespaces/{SPACE}/pods/%2A/{names.GATEWAY_LOAD}"
    all_at_once = []
    for _ in range(20):
        since = time.perf_counter()
        answer = await http.get(whole)
        all_at_once.append(time.perf_counter() - since)
        assert len(answer.json()["items"]) == pods
    text = await asyncio.to_thread(exported, probes)
    silent = [line for line in text.splitlines() if 'outcome="silent"' in line and "_total" in line]
    return _rows(pods, stacks, took, size, all_at_once, before, after, lasted, silent)


def _rows(
    pods: int, stacks: int, took: list[float], size: int, all_at_once: list[float],
    before: tuple[float, float, float], after: tuple[float, float, float], lasted: float, silent: list[str],
) -> list[tuple[str, str]]:  # fmt: skip
    def ms(times: list[float], share: float) -> str:
        return f"{1000 * statistics.quantiles(times, n=100)[round(share * 100) - 1]:.0f} ms"

    return [
        ("pods; stacks; bytes that a pod exports", f"{pods}; {stacks}; {len(metrics_text())}"),
        ("pods asked, each every 10 s, that did not answer", silent[0].rpartition(" ")[2] if silent else "0"),
        (f"an answer for one HPA ({pods // stacks} pods, {size} bytes), through the API server: p50", ms(took, 0.5)),
        ("the same: p95", ms(took, 0.95)),
        ("the same: answers measured", str(len(took))),
        (f"an answer for all {pods} pods at once: p50; p95", f"{ms(all_at_once, 0.5)}; {ms(all_at_once, 0.95)}"),
        ("processor of one adapter", f"{100 * (after[2] - before[2]) / lasted:.0f} % of a core"),
        ("memory of one adapter (highest)", f"{after[0]:.0f} MiB ({after[1]:.0f} MiB)"),
    ]


async def _until_all_are_told(http: Any, stacks: int, pods: int) -> None:
    for _ in range(150):
        await asyncio.sleep(2)
        try:
            told = [(await ask(http, f"stack-{number}"))[1] for number in range(stacks)]
        except Exception as failure:  # noqa: BLE001 - not registered yet, in whatever way that shows
            say(f"waiting: {type(failure).__name__}")
            continue
        say(f"{sum(told)} pods have a value")
        if sum(told) == pods:
            return
    raise SystemExit("not every pod has a value after five minutes")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Answers, memory and processor of the metrics adapter with many pods.")
    parser.add_argument("--pods", type=int, default=1000, help="how many (default %(default)s)")
    parser.add_argument("--stacks", type=int, default=20, help="of how many stacks (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=120, help="how long it is asked (default %(default)s)")
    parser.add_argument("--markdown", type=Path, help="a page whose section is replaced; default: standard output")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything it started ends
    with tempfile.TemporaryDirectory(prefix="adapter-bench-") as folder:
        rows = asyncio.run(measure(chosen.pods, chosen.stacks, chosen.seconds, Path(folder)))
    table = "\n".join(["| measure | value |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]) + "\n"
    if chosen.markdown:
        before, _, rest = chosen.markdown.read_text().partition(f"{TITLE}\n")
        introduction, _, after = rest.partition("| measure | value |")
        _, _, after = after.partition("\n\n")
        chosen.markdown.write_text(f"{before}{TITLE}\n{introduction}{table}\n{after}".rstrip() + "\n")
    else:
        sys.stdout.write(table)


if __name__ == "__main__":
    main()

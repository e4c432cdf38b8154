"""An archive for support: the objects of a stack, its events and logs. No Secret, transcript or key is in it."""

import io
import tarfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from streaming_operator import names

from streamingstack_cli.cluster.api import Cluster, Object
from streamingstack_cli.doctor.scrub import scrubbed, scrubbed_text
from streamingstack_cli.errors import CommandError

_LINES = 2000
# ConfigMaps are left out: a model's sources may carry credentials.
_KINDS = {
    "pods": "api/v1",
    "services": "api/v1",
    "persistentvolumeclaims": "api/v1",
    "deployments": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "replicasets": "apis/apps/v1",
    "horizontalpodautoscalers": "apis/autoscaling/v2",
    "poddisruptionbudgets": "apis/policy/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "ingresses": "apis/networking.k8s.io/v1",
    "httproutes": "apis/gateway.networking.k8s.io/v1",
}


async def write_bundle(
    target: Path, cluster: Cluster, stack: str, report: str, applied: Any, secrets: Collection[str]
) -> int:
    """Write `target`, a .tar.gz, and return how many files are in it. Raises CommandError.

    `secrets` are values that must not be in it, wherever they may stand.
    """
    files = {"doctor.txt": scrubbed_text(report, secrets)}
    if applied is not None:
        files["stack.yaml"] = _yaml(applied, secrets)
    selector = f"{names.INSTANCE}={stack}"
    pods: list[Object] = []
    for plural, api in _KINDS.items():
        path = f"{api}/namespaces/{cluster.namespace}/{plural}"
        found = await _or_reason(files, plural, lambda path=path: cluster.items(path, labelSelector=selector))
        if found:
            files[f"{plural}.yaml"] = "---\n".join(_yaml(entry, secrets) for entry in found)
        pods = found if plural == "pods" else pods
    await _events(files, cluster, stack, secrets)
    for pod in pods:
        await _logs(files, cluster, pod, secrets)
    _write(target, files)
    return len(files)


async def _or_reason(files: dict[str, str], what: str, ask: Any) -> list[Object]:
    try:
        found: list[Object] = await ask()
    except CommandError as refused:
        files[f"{what}.txt"] = f"{refused}\n"
        return []
    return found


async def _events(files: dict[str, str], cluster: Cluster, stack: str, secrets: Collection[str]) -> None:
    path = f"api/v1/namespaces/{cluster.namespace}/events"
    found = await _or_reason(files, "events", lambda: cluster.items(path))
    lines = [
        f"{event.get('lastTimestamp') or event.get('eventTime')} {event.get('type')} {event.get('reason')} "
        f"{event['involvedObject'].get('kind')}/{event['involvedObject'].get('name')}: {event.get('message')}"
        for event in found
        if str(event.get("involvedObject", {}).get("name", "")).startswith(stack)
    ]
    if lines:
        files["events.txt"] = scrubbed_text("\n".join(lines) + "\n", secrets)


async def _logs(files: dict[str, str], cluster: Cluster, pod: Object, secrets: Collection[str]) -> None:
    name = pod["metadata"]["name"]
    spec = pod.get("spec", {})
    for container in [*(spec.get("initContainers") or []), *spec.get("containers", [])]:
        path = f"api/v1/namespaces/{cluster.namespace}/pods/{name}/log"
        for previous in ("false", "true"):
            query = {"container": container["name"], "tailLines": str(_LINES), "previous": previous}
            try:
                text = await cluster.text(path, 30.0, **query)
            except CommandError:
                continue  # not started yet, or there was no earlier one
            if text:
                suffix = ".previous" if previous == "true" else ""
                files[f"logs/{name}.{container['name']}{suffix}.log"] = scrubbed_text(text, secrets)


def _yaml(document: Any, secrets: Collection[str]) -> str:
    return str(yaml.safe_dump(scrubbed(document, secrets), sort_keys=False))


def _write(target: Path, files: dict[str, str]) -> None:
    try:
        with tarfile.open(target, "w:gz") as archive:
            for name, text in files.items():
                content = text.encode()
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
                archive.addfile(entry, io.BytesIO(content))
    except OSError as failure:
        raise CommandError(f"{target} cannot be written: {failure.strerror}") from None

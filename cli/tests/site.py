"""A namespace of a real API server, and the command that is run against it as a user runs it."""

import asyncio
import base64
import contextlib
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from e2e_cluster.kubernetes_api import KubernetesApi
from streamingstack_cli.main import app
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@dataclass
class Site:
    """A namespace of its own on the API server, and the command."""

    api: KubernetesApi
    namespace: str

    def apply(self, *documents: dict[str, Any]) -> None:
        named = [{**entry, "metadata": {**entry["metadata"], "namespace": self.namespace}} for entry in documents]
        self.api.apply(named)

    def stack(self, name: str = "demo", status: dict[str, Any] | None = None, **spec: Any) -> None:
        stack = yaml.safe_load((EXAMPLES / "minimal.yaml").read_text())
        stack["metadata"] = {"name": name}
        stack["spec"] |= spec
        self.apply(stack)
        if status is not None:
            patch = json.dumps({"status": status})
            arguments = (
                "-n",
                self.namespace,
                "patch",
                "sst",
                name,
                "--subresource=status",
                "--type=merge",
                "-p",
                patch,
            )
            self.api.kubectl(*arguments)

    def secret(self, name: str, **data: str) -> None:
        encoded = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": encoded})

    async def run(self, *arguments: str, kubeconfig: Path | None = None) -> tuple[int, str, str]:
        return await command(*arguments, "-n", self.namespace, KUBECONFIG=str(kubeconfig or self.api.kubeconfig))


async def command(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Status, standard output and standard error; in this process, which has loaded everything already."""
    environment = {"COLUMNS": "160", "NO_COLOR": "1", **variables}
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@contextlib.contextmanager
def made_site(known: KubernetesApi) -> Iterator[Site]:
    namespace = f"cli-{uuid.uuid4().hex[:8]}"
    known.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])
    yield Site(known, namespace)
    with contextlib.suppress(Exception):
        known.kubectl("delete", "namespace", namespace, "--wait=false")


def ready(**more: Any) -> dict[str, Any]:
    """The status of a stack that is Ready, with `more` in it."""
    time = "2026-06-01T12:00:00Z"
    condition = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": time}
    return {
        "observedGeneration": 1,
        "conditions": [condition],
        "gateway": {"ready": 2, "desired": 2, "draining": 0, "sessions": 3, "capacity": 96},
        **more,
    }

"""The few things that raising a cluster says to an API server, by kubectl; what is only read, over HTTPS too."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from e2e_cluster import tools
from e2e_cluster.errors import ClusterError
from e2e_cluster.reading import Reader

Document = Mapping[str, Any]


class KubernetesApi:
    """An API server behind a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        """Nothing is asked yet."""
        self.kubeconfig = kubeconfig

    @cached_property
    def reader(self) -> Reader:
        """Reads the same objects without a process of kubectl."""
        return Reader(self.kubeconfig)

    def ready(self) -> bool:
        """Whether the API server says it is ready."""
        # A new one: the file may be written while we wait.
        return Reader(self.kubeconfig).answers("/readyz")

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """What kubectl prints; ClusterError with what it complains of."""
        argv = (str(tools.kubectl()), f"--kubeconfig={self.kubeconfig}", *arguments)
        try:
            done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise ClusterError(f"kubectl {' '.join(arguments)[:200]}: no answer in {timeout:.0f} s") from error
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)[:200]}: {done.stderr.strip()[-600:]}")
        return done.stdout

    def apply(self, documents: Iterable[Document]) -> None:
        """Server-side apply of objects, in their order; a second time nothing changes."""
        self.apply_text(yaml.safe_dump_all(documents, sort_keys=False))

    def apply_text(self, text: str) -> None:
        """Server-side apply of YAML documents."""
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=e2e-cluster", "-f", "-", stdin=text
        )

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get ... -o json`, read."""
        read: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return read

    def until(self, what: str, holds: Callable[[], bool], *, seconds: float) -> None:
        """Poll until `holds()`; ClusterError naming `what` after that many seconds."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise ClusterError(f"{what}: not within {seconds:.0f} s")
            time.sleep(0.3)

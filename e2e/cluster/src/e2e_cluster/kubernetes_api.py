"""The few things that raising a cluster says to an API server, by kubectl and by plain HTTPS for health."""

import base64
import json
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from e2e_cluster import tools
from e2e_cluster.errors import ClusterError

Document = Mapping[str, Any]


class KubernetesApi:
    """An API server behind a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        """Nothing is asked yet."""
        self.kubeconfig = kubeconfig

    def ready(self) -> bool:
        """Whether the API server says it is ready."""
        try:
            config = yaml.safe_load(self.kubeconfig.read_text())
            with urllib.request.urlopen(
                config["clusters"][0]["cluster"]["server"] + "/readyz", timeout=5, context=_tls(config)
            ) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

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


def _tls(config: Mapping[str, Any]) -> ssl.SSLContext:
    ca = base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    user = config["users"][0]["user"]
    context = ssl.create_default_context(cadata=ca)
    if "client-certificate-data" in user:
        # The standard library reads client certificates from files alone.
        with tempfile.NamedTemporaryFile("wb") as pair:
            pair.write(base64.b64decode(user["client-key-data"]) + base64.b64decode(user["client-certificate-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
    return context

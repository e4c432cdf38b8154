"""A release of the chart in a namespace of its own, by a real helm, and the spec of a stack that is small enough."""

import json
import subprocess
from pathlib import Path
from typing import Any

from e2e_cluster import tools
from live_namespace import LiveNamespace

CHART = Path(__file__).parents[2] / "charts" / "streaming-stack"
RELEASE = "speech"


class Release:
    """One release in a namespace of its own."""

    def __init__(self, space: LiveNamespace, folder: Path, values: dict[str, Any]) -> None:
        self.space, self._folder, self._values = space, folder, values

    def helm(self, *argv: str) -> str:
        """What helm prints; the test fails with its words where it fails."""
        head = [str(tools.helm()), f"--kubeconfig={self.space.door.kubeconfig}", f"--namespace={self.space.name}"]
        done = subprocess.run([*head, *argv], capture_output=True, text=True, check=False, timeout=400)
        assert done.returncode == 0, f"helm {argv[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def put(self, verb: str, **changed: Any) -> str:
        """install or upgrade with the values, top keys of them changed."""
        file = self._folder / f"{verb}.json"
        file.write_text(json.dumps(self._values | changed))
        return self.helm(verb, RELEASE, str(CHART), f"--values={file}", "--wait", "--timeout=5m")

    def level(self) -> str:
        """How much the operator logs, as its Deployment says."""
        found = self.space.apps.read_namespaced_deployment(f"{RELEASE}-streaming-stack-operator", self.space.name)
        variables = {variable.name: variable.value for variable in found.spec.template.spec.containers[0].env}
        return str(variables["LOGGING_LEVEL"])


def small_spec(expose: dict[str, Any]) -> dict[str, Any]:
    """One English model from an image, one pod of each part, of a size that the test sets."""
    model = {
        "name": "en-default",
        "speechModels": ["universal-streaming-english"],
        "source": "image://localhost/streamingstack/test-models:1/models/en-default",
        "resources": {"requests": {"cpu": "50m", "memory": "512Mi"}},
    }
    small = {"requests": {"cpu": "20m", "memory": "64Mi"}}
    return {
        "models": [model],
        "autoscaling": {"provider": "None"},
        "gateway": {"autoscaling": {"minReplicas": 1}, "resources": small, "expose": expose},
        "loadBalancer": {"replicas": 1, "resources": small},
        "licenseProxy": {"replicas": 1, "resources": small},
    }

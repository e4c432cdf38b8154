"""A release of the chart in a namespace of its own, by a real helm."""

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from e2e_cluster import tools
from kubernetes import client
from kubernetes.client import V1PersistentVolumeClaim
from live_namespace import LiveNamespace, until
from operated_stack import OperatedStack
from plain_stack import STARTUP_SECONDS, is_served

CHART = Path(__file__).parents[2] / "charts" / "streaming-stack"
RELEASE = "speech"
STACK = "desk"
OPERATOR = f"{RELEASE}-streaming-stack-operator"


class Release:
    """One release in a namespace of its own."""

    def __init__(self, space: LiveNamespace, folder: Path, values: dict[str, Any]) -> None:
        self.space, self.values = space, values
        self._folder = folder
        self.stack = OperatedStack(space, STACK)

    def helm(self, *argv: str) -> str:
        """What helm prints; the test fails with its words where it fails."""
        return self._run(
            tools.helm(), f"--kubeconfig={self.space.door.kubeconfig}", f"--namespace={self.space.name}", *argv
        )

    def kubectl(self, *argv: str) -> str:
        """What kubectl prints."""
        return self._run(tools.kubectl(), f"--kubeconfig={self.space.door.kubeconfig}", *argv)

    def put(self, verb: str, **changed: Any) -> str:
        """install or upgrade with the values, top keys of them changed."""
        file = self._folder / f"{verb}.json"
        file.write_text(json.dumps(self.values | changed))
        # The definition is the cluster's: a run before this one, with other sources, may have left an older one.
        return self.helm(verb, RELEASE, str(CHART), f"--values={file}", "--wait", "--timeout=5m", "--force-conflicts")

    def is_installed(self) -> bool:
        """Whether helm knows it in its namespace."""
        return RELEASE in self.helm("list", "--short").split()

    def operator_setting(self, name: str) -> str:
        """A variable of the operator, as its Deployment says."""
        found = self.space.apps.read_namespaced_deployment(OPERATOR, self.space.name)
        variables = {variable.name: variable.value for variable in found.spec.template.spec.containers[0].env}
        return str(variables[name] or "")

    def await_heard_of(self) -> None:
        """Until the stack is Ready and served."""
        self.stack.await_condition("Ready", "True", STARTUP_SECONDS)
        until(f"{self.stack.host} is served", lambda: is_served(self.space.door, self.stack.host), STARTUP_SECONDS)

    def pending_usage(self) -> int:
        """Sessions whose usage is not delivered, as the licence proxy tells from its volume."""
        pod = self.stack.ready_pods("license-proxy")[0].metadata.name
        with (
            self.space.forwarded(f"pod/{pod}", 8080) as port,
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page,
        ):
            found = re.search(r"^license_proxy_usage_sessions_pending (\S+)$", page.read().decode(), re.M)
        assert found
        return int(float(found[1]))

    def claims(self) -> dict[str, V1PersistentVolumeClaim]:
        """Those of the licence proxies, by name."""
        selector = "app.kubernetes.io/component=license-proxy"
        listed = self.space.core.list_namespaced_persistent_volume_claim(self.space.name, label_selector=selector)
        return {claim.metadata.name: claim for claim in listed.items}

    def cluster_roles(self) -> set[str]:
        """Names of its ClusterRoles."""
        listed = client.RbacAuthorizationV1Api(self.space.api).list_cluster_role().items
        return {role.metadata.name for role in listed if self.space.name in role.metadata.name}

    def roles(self) -> set[str]:
        """Names of its Roles."""
        listed = client.RbacAuthorizationV1Api(self.space.api).list_namespaced_role(self.space.name).items
        return {role.metadata.name for role in listed}

    @staticmethod
    def _run(program: Path, *argv: str) -> str:
        done = subprocess.run([str(program), *argv], capture_output=True, text=True, check=False, timeout=400)
        assert done.returncode == 0, f"{program.name} {argv}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

"""CLUSTER=kind: a cluster of kind (https://kind.sigs.k8s.io) in Docker, with the same ingress; kind does the work.

The node with the ingress has the label and the port mappings of kind's documentation; storage and enforcement of
NetworkPolicies are those that kind brings.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e2e_cluster import binaries
from e2e_cluster.addons import addon_images, ingress
from e2e_cluster.addons.crds import apply_crds
from e2e_cluster.addons.ingress import DOMAIN, IngressPlan
from e2e_cluster.binaries import Say
from e2e_cluster.door import Door
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.pki import KeyStore
from e2e_cluster.plan import plan

NAME = "streamingstack-e2e"
ADDRESS = "127.0.0.1"
_STATE = plan("kind").state
_KUBECONFIG = _STATE / "kubeconfig"


def configuration() -> dict[str, Any]:
    """kind's configuration: two workers, ports 80 and 443 of one of them on this machine's loopback interface."""
    mappings = [{"containerPort": port, "hostPort": port, "listenAddress": ADDRESS} for port in (80, 443)]
    with_ingress = {"role": "worker", "labels": {ingress.NODE_LABEL: "true"}, "extraPortMappings": mappings}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{"role": "control-plane"}, with_ingress, {"role": "worker"}],
    }


def check() -> None:
    """Whether kind, an engine that answers, and Go, which fetches the ingress, are there; ClusterError where not."""
    try:
        _kind("get", "clusters")
    except _KindFailed as error:
        raise ClusterError(
            f"kind finds no container engine that answers ({error.last_line}); install Docker and start it, "
            f"or use CLUSTER=local"
        ) from error
    binaries.go()


def up(say: Say) -> None:
    """Create the cluster where it is missing, then the ingress. ClusterError with what kind complains of."""
    _STATE.mkdir(parents=True, exist_ok=True)
    if NAME not in _kind("get", "clusters").split():
        say("cluster: kind creates it, which takes minutes the first time")
        _kind("create", "cluster", f"--name={NAME}", "--config=-", "--wait=5m", stdin=json.dumps(configuration()))
    _kind("export", "kubeconfig", f"--name={NAME}", f"--kubeconfig={_KUBECONFIG}")
    api, keys = KubernetesApi(_KUBECONFIG), KeyStore(_STATE / "pki")
    pair = keys.server(keys.authority("ca"), "ingress", [DOMAIN, f"*.{DOMAIN}", ADDRESS])
    contour = addon_images.contour_module()
    apply_crds(api, ingress.crds(contour, addon_images.gateway_api_module()))
    ingress.install(api, contour, IngressPlan(ADDRESS, pair.certificate, pair.key))
    ingress.wait(api)
    say("cluster: kind is up")


def down(say: Say) -> None:
    """Delete the cluster and its files."""
    _kind("delete", "cluster", f"--name={NAME}")
    shutil.rmtree(_STATE, ignore_errors=True)
    say("cluster: kind is down")


def door(say: Say) -> Door:
    """The door of the cluster that `up` made; ClusterError where it is not up."""
    if not (_KUBECONFIG.exists() and NAME in _kind("get", "clusters").split()):
        raise ClusterError("kind's cluster is not up; run `make cluster-up CLUSTER=kind`")

    def load(archives: Sequence[Path]) -> None:
        for archive in archives:
            _kind("load", "image-archive", str(archive), f"--name={NAME}")
            say(f"loaded {archive.name}")

    keys = KeyStore(_STATE / "pki")
    return Door(
        cluster="kind",
        kubeconfig=_KUBECONFIG,
        ingress_address=ADDRESS,
        http_port=80,
        https_port=443,
        domain=DOMAIN,
        ca_file=keys.certificate("ca"),
        tls_certificate=keys.certificate("ingress"),
        tls_key=keys.key("ingress"),
        gateway=f"{ingress.NAMESPACE}/{ingress.GATEWAY}",
        gateway_class=ingress.GATEWAY_CLASS,
        ingress_class=ingress.INGRESS_CLASS,
        storage_class="standard",
        policies_enforced=enforces_policies(_kind("version")),
        _load=load,
    )


def enforces_policies(said: str) -> bool:
    """Whether the network of a kind that answers `kind version` so enforces NetworkPolicies: its own since v0.24.0."""
    found = re.search(r"\bv(\d+)\.(\d+)\.(\d+)(-?)", said)
    return found is not None and (*map(int, found.groups()[:3]), not found[4]) >= (0, 24, 0, True)


class _KindFailed(ClusterError):
    def __init__(self, arguments: Sequence[str], said: str) -> None:
        super().__init__(f"kind {' '.join(arguments)}: {said[-400:]}")
        self.last_line = said.splitlines()[-1] if said else "no reason given"


def _kind(*arguments: str, stdin: str | None = None) -> str:
    program = shutil.which("kind")
    if program is None:
        raise ClusterError("kind is missing; install it and Docker (https://kind.sigs.k8s.io), or use CLUSTER=local")
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise _KindFailed(arguments, (done.stderr or done.stdout).strip())
    return done.stdout

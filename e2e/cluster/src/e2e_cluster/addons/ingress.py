"""Contour and Envoy: Ingress and Gateway API on ports 80 and 443 of one node.

The manifests are Contour's own examples, from its module; ours are the Gateway, the IngressClass, its configuration and
where it runs. Timeouts are off: a session may be silent for minutes and lasts for hours.
"""

import base64
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e_cluster.kubernetes_api import KubernetesApi

MODULE = "github.com/projectcontour/contour"
GATEWAY_API_MODULE = "sigs.k8s.io/gateway-api"
CONTOUR_IMAGE = "ghcr.io/projectcontour/contour:v1.33.8"
DOMAIN = (
    "streamingstack.test"  # nothing resolves it: clients connect to the ingress address and ask for a name under it
)
NAMESPACE = "projectcontour"
GATEWAY = "contour"
GATEWAY_CLASS = "contour"
INGRESS_CLASS = "contour"
NODE_LABEL = "ingress-ready"  # the label that kind's documentation gives such a node
_TLS_SECRET = "ingress-tls"
_MANIFEST = Path(__file__).parents[3] / "manifests" / "ingress.yaml"
_LEFT_OUT = {"01-crds.yaml", "01-contour-config.yaml", "02-service-envoy.yaml"}


@dataclass(frozen=True)
class IngressPlan:
    """Where the ingress is and what it shows: `address` goes into the status of Ingresses; `certificate` and `key`
    are PEM; `envoy_image` None for the one that Contour's own manifest names."""

    address: str
    certificate: str
    key: str
    envoy_image: str | None = None


def crds(contour: Path, gateway_api: Path) -> list[Path]:
    """Files with the CRDs of the Gateway API (its experimental channel: Contour watches TLSRoutes) and of Contour."""
    experimental = sorted((gateway_api / "config" / "crd" / "experimental").glob("gateway.networking.*.yaml"))
    return [*experimental, contour / "examples" / "contour" / "01-crds.yaml"]


def install(api: KubernetesApi, contour: Path, plan: IngressPlan) -> None:
    """Apply Contour, Envoy, the GatewayClass, the Gateway and the IngressClass; the CRDs have to be there."""
    files = sorted(file for file in (contour / "examples" / "contour").glob("*.yaml") if file.name not in _LEFT_OUT)
    theirs = [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]
    first, rest = theirs[:1], theirs[1:]  # the namespace
    api.apply(first)
    api.apply([*_ours(plan), *(adapted(document, plan) for document in rest)])


def wait(api: KubernetesApi) -> None:
    """Wait until Envoy serves the Gateway's listeners."""
    for workload in ("deployment/contour", "daemonset/envoy"):
        api.kubectl("rollout", "status", f"--namespace={NAMESPACE}", workload, "--timeout=100s")
    api.kubectl("wait", "--for=condition=Programmed", f"--namespace={NAMESPACE}", f"gateway/{GATEWAY}", "--timeout=60s")


def adapted(document: Mapping[str, Any], plan: IngressPlan) -> dict[str, Any]:
    """One of Contour's documents: one Contour and one Envoy, both on the node that has the ingress address."""
    ours = copy.deepcopy(dict(document))
    if ours["kind"] not in ("Deployment", "DaemonSet"):
        return ours
    pod = ours["spec"]["template"]["spec"]
    pod["nodeSelector"] = {NODE_LABEL: "true"}
    if ours["kind"] == "Deployment":
        ours["spec"]["replicas"] = 1
    for container in pod["containers"]:
        if container["name"] == "envoy" and plan.envoy_image:
            container["image"] = plan.envoy_image
        if container["name"] == "contour":
            container["args"] = [*container["args"], "--disable-leader-election"]
        # On a busy machine they kill, or cut off, what is merely slow.
        container.pop("livenessProbe", None)
        if "readinessProbe" in container:
            container["readinessProbe"] |= {"initialDelaySeconds": 0, "periodSeconds": 1, "timeoutSeconds": 10}
    return ours


def _ours(plan: IngressPlan) -> Sequence[dict[str, Any]]:
    text = _MANIFEST.read_text().replace("INGRESS_ADDRESS", plan.address)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": _TLS_SECRET, "namespace": NAMESPACE},
        "data": {"tls.crt": _base64(plan.certificate), "tls.key": _base64(plan.key)},
    }
    return [secret, *yaml.safe_load_all(text)]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

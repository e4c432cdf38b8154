"""What a bare cluster lacks: an ingress for HTTP and WebSockets, a default StorageClass, enforced NetworkPolicies.

`local.up` calls these in order, each with its `Local`; all are idempotent and quick when there is nothing to do.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from e2e_cluster.addons import addon_images, ingress, policy, storage
from e2e_cluster.addons.crds import apply_crds
from e2e_cluster.addons.ingress import DOMAIN, IngressPlan
from e2e_cluster.kubernetes_api import KubernetesApi
from e2e_cluster.pki import KeyStore
from e2e_cluster.plan import ClusterPlan

if TYPE_CHECKING:
    from e2e_cluster.local import Local


def images(local: "Local") -> list[Path]:
    """Archives of the images that the addons need, built where the cache lacks them."""
    return addon_images.archives(local.plan.cache, local.say)


def before_nodes(local: "Local") -> None:
    """The API server is ready, no kubelet runs: CRDs, and what the policy engine needs before it starts."""
    api = KubernetesApi(local.plan.kubeconfig)
    if local.calico is not None:
        policy.install(api, local.calico)
    apply_crds(api, ingress.crds(addon_images.contour_module(), addon_images.gateway_api_module()))


def after_nodes(local: "Local") -> None:
    """The nodes are Ready and have the images: storage and ingress, until both are ready."""
    plan, api = local.plan, KubernetesApi(local.plan.kubeconfig)
    storage.install(api, addon_images.storage_manifest(), {node.name: node.state / "volumes" for node in plan.nodes})
    address = str(plan.nodes[0].address)
    api.kubectl("label", "--overwrite", "node", plan.nodes[0].name, f"{ingress.NODE_LABEL}=true")
    pair = KeyStore(plan.pki).server(local.ca, "ingress", [DOMAIN, f"*.{DOMAIN}", address])
    ingress.install(
        api, addon_images.contour_module(), IngressPlan(address, pair.certificate, pair.key, addon_images.ENVOY_IMAGE)
    )
    storage.wait(api)
    ingress.wait(api)


def describe(plan: ClusterPlan) -> dict[str, object]:
    """What the door says of ingress and storage; `tls_certificate` is for every name under `domain`."""
    keys = KeyStore(plan.pki)
    return {
        "ingress_address": str(plan.nodes[0].address),
        "http_port": 80,
        "https_port": 443,
        "domain": DOMAIN,
        "tls_certificate": keys.certificate("ingress"),
        "tls_key": keys.key("ingress"),
        "gateway_class": ingress.GATEWAY_CLASS,
        "gateway": f"{ingress.NAMESPACE}/{ingress.GATEWAY}",
        "ingress_class": ingress.INGRESS_CLASS,
        "storage_class": storage.STORAGE_CLASS,
    }

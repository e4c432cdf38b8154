"""Published definitions of kinds that a cluster may or may not serve, as files in Go's module cache.

ClusterError where a module cannot be fetched.
"""

from pathlib import Path

from e2e_cluster import binaries
from e2e_cluster.addons import addon_images
from e2e_cluster.binaries import GO_MODULES

_MODULE = GO_MODULES / "crds"


def pod_monitor() -> Path:
    """PodMonitor, of the Prometheus operator."""
    folder = binaries.module_folder(_MODULE, "github.com/prometheus-operator/prometheus-operator")
    return folder / "example" / "prometheus-operator-crd" / "monitoring.coreos.com_podmonitors.yaml"


def scaled_object() -> Path:
    """ScaledObject, of KEDA."""
    folder = binaries.module_folder(_MODULE, "github.com/kedacore/keda/v2")
    return folder / "config" / "crd" / "bases" / "keda.sh_scaledobjects.yaml"


def http_route() -> Path:
    """HTTPRoute, of the Gateway API's standard channel."""
    folder = addon_images.gateway_api_module()
    return folder / "config" / "crd" / "standard" / "gateway.networking.k8s.io_httproutes.yaml"

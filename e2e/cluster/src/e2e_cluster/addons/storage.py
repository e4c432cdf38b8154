"""The default StorageClass: Rancher's local-path-provisioner, a folder on the volume's own node.

The manifest is the provisioner's own, from its module; only where volumes lie and who makes their folders is ours.
"""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from e2e_cluster.kubernetes_api import KubernetesApi

MODULE = "github.com/rancher/local-path-provisioner"
IMAGE = "docker.io/rancher/local-path-provisioner:v0.0.30"
HELPER_IMAGE = "streamingstack.dev/e2e/volume:1"
STORAGE_CLASS = "local-path"
_NAMESPACE = "local-path-storage"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def install(api: KubernetesApi, manifest: Path, volumes: Mapping[str, Path]) -> None:
    """Apply the provisioner and the default StorageClass; `volumes` has the folder of each node's volumes."""
    api.apply([adapted(document, volumes) for document in yaml.safe_load_all(manifest.read_text())])


def wait(api: KubernetesApi) -> None:
    """Wait until the provisioner runs."""
    api.kubectl("rollout", "status", f"--namespace={_NAMESPACE}", "deployment/local-path-provisioner", "--timeout=100s")


def adapted(document: Mapping[str, Any], volumes: Mapping[str, Path]) -> dict[str, Any]:
    """One of the provisioner's own documents, made to fit nodes that share one file system."""
    ours = copy.deepcopy(dict(document))
    if ours["kind"] == "StorageClass":
        ours["metadata"]["annotations"] = {_DEFAULT_CLASS: "true"}
    if ours["kind"] == "ConfigMap":
        ours["data"] = {"config.json": _config(volumes), "helperPod.yaml": json.dumps(_helper_pod())}
    return ours


def _config(volumes: Mapping[str, Path]) -> str:
    paths = [{"node": node, "paths": [str(folder)]} for node, folder in sorted(volumes.items())]
    return json.dumps({"nodePathMap": paths, "setupCommand": "/volume", "teardownCommand": "/volume"}, indent=1)


def _helper_pod() -> dict[str, Any]:
    # Root: the folder's parent belongs to the node, and what a pod left in it to any user.
    security = {"runAsUser": 0, "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "FOWNER"]}}
    container = {"name": "helper-pod", "image": HELPER_IMAGE, "imagePullPolicy": "IfNotPresent"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "helper-pod"},
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [{**container, "securityContext": security}],
        },
    }

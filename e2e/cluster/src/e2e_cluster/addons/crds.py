"""CustomResourceDefinitions out of files: applied as they are, awaited."""

from collections.abc import Sequence
from pathlib import Path

from e2e_cluster.kubernetes_api import KubernetesApi


def apply_crds(api: KubernetesApi, files: Sequence[Path]) -> None:
    """Apply the files server-side and wait until every CRD is served. ClusterError where the API server refuses one."""
    flags = ("--server-side", "--force-conflicts", "--field-manager=e2e-cluster")
    # As files, not as parsed documents: these are megabytes of YAML.
    api.kubectl("apply", *flags, *(f"--filename={file}" for file in files))
    api.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

"""CustomResourceDefinitions out of files: applied as they are, awaited."""

from collections.abc import Sequence
from pathlib import Path

from e2e_cluster.kubernetes_api import KubernetesApi

# A template and not a path: the conditions of a definition made this moment are null, which a path refuses.
_CONDITIONS = (
    '{{range .items}}{{.metadata.name}}{{range .status.conditions}} {{.type}}={{.status}}{{end}}{{"\\n"}}{{end}}'
)


def apply_crds(api: KubernetesApi, files: Sequence[Path]) -> None:
    """Apply the files server-side and wait until every CRD is served. ClusterError where the API server refuses one."""
    flags = ("--server-side", "--force-conflicts", "--field-manager=e2e-cluster")
    # As files, not as parsed documents: these are megabytes of YAML.
    api.kubectl("apply", *flags, *(f"--filename={file}" for file in files))
    # Not `kubectl wait`, which asks for one after the other and takes seconds.
    api.until("every CRD is served", lambda: _all_served(api), seconds=60)


def _all_served(api: KubernetesApi) -> bool:
    told = api.kubectl("get", "crd", "-o", f"go-template={_CONDITIONS}").splitlines()
    return bool(told) and all("Established=True" in line.split() for line in told)

"""CustomResourceDefinitions out of files: applied as they are, awaited."""

from collections.abc import Sequence
from pathlib import Path

from e2e_cluster.kubernetes_api import KubernetesApi

_ESTABLISHED = '{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Established")].status}{"\\n"}{end}'


def apply_crds(api: KubernetesApi, files: Sequence[Path]) -> None:
    """Apply the files server-side and wait until every CRD is served. ClusterError where the API server refuses one."""
    flags = ("--server-side", "--force-conflicts", "--field-manager=e2e-cluster")
    # As files, not as parsed documents: these are megabytes of YAML.
    api.kubectl("apply", *flags, *(f"--filename={file}" for file in files))
    # Not `kubectl wait`, which asks for one after the other and takes seconds.
    api.until("every CRD is served", lambda: _all_served(api), seconds=60)


def _all_served(api: KubernetesApi) -> bool:
    told = api.kubectl("get", "crd", "-o", f"jsonpath={_ESTABLISHED}").splitlines()
    return bool(told) and all(line.endswith(" True") for line in told)

"""NetworkPolicy enforcement by Calico's Felix, one per node: what has to be in the API before the first of them starts.

CALICO_DIR names the folder with `calico-felix`, `calico` (the CNI plugin) and `crd/`. Without it nobody enforces
policies, and a test of them says so.
"""

import os
from pathlib import Path

import yaml

from e2e_cluster.addons.crds import apply_crds
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi

ENVIRONMENT = "CALICO_DIR"
_PARTS = ("calico-felix", "calico", "crd")
_MANIFEST = Path(__file__).parents[3] / "manifests" / "policy-engine.yaml"


def engine_folder() -> Path | None:
    """The folder that CALICO_DIR names, None where it names none. ClusterError where a part is missing."""
    value = os.environ.get(ENVIRONMENT, "").strip()
    if not value:
        return None
    folder = Path(value).resolve()
    missing = [part for part in _PARTS if not (folder / part).exists()]
    if missing:
        raise ClusterError(
            f"{ENVIRONMENT}={value} lacks {', '.join(missing)}: it has to hold {', '.join(_PARTS)}; "
            "unset it for a cluster that enforces no policies"
        )
    return folder


def install(api: KubernetesApi, engine: Path) -> None:
    """Calico's CRDs, its ClusterInformation, and what Felix and the CNI plugin may read."""
    apply_crds(api, sorted((engine / "crd").glob("*.yaml")))
    api.apply(yaml.safe_load_all(_MANIFEST.read_text()))

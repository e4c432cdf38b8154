"""NetworkPolicy enforcement by Calico's Felix, one per node: what has to be in the API before the first of them starts.

CALICO_DIR names the folder with `calico-felix`, `calico` (the CNI plugin) and `crd/`. Without it nobody enforces
policies, and a test of them says so.
"""

from pathlib import Path

import yaml

from e2e_cluster.addons.crds import apply_crds
from e2e_cluster.kubernetes_api import KubernetesApi

_MANIFEST = Path(__file__).parents[3] / "manifests" / "policy-engine.yaml"


def install(api: KubernetesApi, engine: Path) -> None:
    """Calico's CRDs, its ClusterInformation, and what Felix and the CNI plugin may read."""
    apply_crds(api, sorted((engine / "crd").glob("*.yaml")))
    api.apply(yaml.safe_load_all(_MANIFEST.read_text()))

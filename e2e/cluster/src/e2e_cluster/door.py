"""The one door to a cluster: all that end-to-end tests see, whether it is local, kind's or somebody's own."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from e2e_cluster.errors import ClusterError

Load = Callable[[Sequence[Path]], None]
Cable = Callable[[str], None]


@dataclass(frozen=True)
class Door:
    """A cluster that is up.

    Names under `domain` are served at `ingress_address`: the client resolves them itself. `tls_certificate` and
    `tls_key` are for `*.domain`, signed by the authority in `ca_file`. `gateway` is "namespace/name".
    """

    cluster: str
    kubeconfig: Path
    ingress_address: str
    http_port: int
    https_port: int
    domain: str
    ca_file: Path
    tls_certificate: Path
    tls_key: Path
    gateway: str
    gateway_class: str
    ingress_class: str
    storage_class: str
    policies_enforced: bool
    _load: Load
    _cut: Cable | None = None
    _restore: Cable | None = None

    def load(self, archives: Sequence[Path]) -> None:
        """Bring image archives (OCI or docker) to where the cluster's nodes find them. Raises ClusterError."""
        self._load(archives)

    def cut(self, node: str) -> None:
        """Cut a node off the network; ClusterError where the cluster is not the local one."""
        self._cable(self._cut)(node)

    def restore(self, node: str) -> None:
        """Give a node its network back."""
        self._cable(self._restore)(node)

    def to_json(self) -> str:
        """The facts, as JSON."""
        facts = {each.name: getattr(self, each.name) for each in fields(self) if not each.name.startswith("_")}
        return json.dumps(facts, indent=2, default=str)

    def _cable(self, cable: Cable | None) -> Cable:
        if cable is None:
            raise ClusterError(f"nodes of CLUSTER={self.cluster} cannot be cut off; only those of CLUSTER=local can")
        return cable

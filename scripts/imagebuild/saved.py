"""An image that a builder wrote to a folder, and the OCI archive that is made of it.

The layers of the archive are compressed here and kept by the digest of their tar, shared by all images: each is
compressed once, and checked against the configuration of its image on the way.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GZIPPED = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LEVEL = 6
_MAGIC = b"\x1f\x8b"
_PIECE = 1 << 20


@dataclass(frozen=True)
class Layer:
    """One layer: the sha256 of its tar in hex, and a file with that tar, which may be gzipped."""

    digest: str
    file: Path


@dataclass(frozen=True)
class Saved:
    """One image: its configuration, as read and as a file, and its layers, lowest first."""

    config: dict[str, Any]
    config_file: Path
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Archived:
    """One archive: the digest of its manifest, and the sum of its compressed layers in bytes."""

    digest: str
    size: int


def read_saved(folder: Path) -> Saved:
    """The one image in a folder that `buildah push dir:` or an unpacked `docker save` wrote; raises ValueError."""
    if (folder / "index.json").is_file():
        blobs = folder / "blobs" / "sha256"
        entries = json.loads((folder / "index.json").read_text())["manifests"]
        if len(entries) != 1:
            raise ValueError(f"{len(entries)} images where one was saved")
        manifest = json.loads((blobs / _hex(entries[0])).read_text())
    else:
        blobs = folder
        manifest = json.loads((folder / "manifest.json").read_text())
    config_file = blobs / _hex(manifest["config"])
    config = json.loads(config_file.read_text())
    digests = [digest.partition(":")[2] for digest in config["rootfs"]["diff_ids"]]
    files = [blobs / _hex(layer) for layer in manifest["layers"]]
    if len(digests) != len(files):
        raise ValueError(f"{len(files)} layers were saved, the image has {len(digests)}")
    return Saved(config, config_file, tuple(map(Layer, digests, files)))


def kept(layer: Layer, cache: Path) -> Path:
    """The layer gzipped, without a time stamp; raises ValueError where the file is not that layer."""
    target = cache / f"{layer.digest}.tar.gz"
    if target.is_file():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    digest = hashlib.sha256()
    with _tar_of(layer.file) as tar, partial.open("wb") as out, gzip.GzipFile("", "wb", _LEVEL, out, mtime=0) as packed:
        while piece := tar.read(_PIECE):
            digest.update(piece)
            packed.write(piece)
    if digest.hexdigest() != layer.digest:
        partial.unlink()
        raise ValueError(f"a layer has sha256 {digest.hexdigest()}, the image says {layer.digest}")
    return partial.replace(target)


def write_archive(saved: Saved, cache: Path, name: str, annotations: dict[str, str], target: Path) -> Archived:
    """Write an OCI archive with this image alone, called `name`; whole or not at all. Raises ValueError as `kept`."""
    with ThreadPoolExecutor(2) as workers:
        packed = list(workers.map(lambda layer: kept(layer, cache), saved.layers))
    layers = [_descriptor(_GZIPPED, path) for path in packed]
    config = _descriptor(_CONFIG, saved.config_file)
    parts = {"config": config, "layers": layers, "annotations": annotations}
    manifest = _json({"schemaVersion": 2, "mediaType": _MANIFEST, **parts})
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    # What containerd and docker read the name from, and what skopeo does.
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    entry = {"mediaType": _MANIFEST, "digest": digest, "size": len(manifest), "annotations": names}
    files = {_member(part): path for part, path in zip(layers, packed, strict=True)}  # an empty layer may come twice
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]}))
        _add(tar, _member(entry), manifest)
        for member, path in {**files, _member(config): saved.config_file}.items():
            _add_file(tar, member, path)
    partial.replace(target)
    return Archived(digest, sum(layer["size"] for layer in layers))


def prune(cache: Path, digests: Iterable[str]) -> None:
    """Remove the kept layers that are none of these."""
    needed = set(digests)
    for path in cache.iterdir():
        if path.name.partition(".")[0] not in needed:
            path.unlink()


def _tar_of(file: Path) -> Any:
    with file.open("rb") as start:
        packed = start.read(2) == _MAGIC
    return gzip.open(file) if packed else file.open("rb")


def _hex(descriptor: dict[str, str]) -> str:
    return descriptor["digest"].partition(":")[2]


def _member(descriptor: dict[str, Any]) -> str:
    return f"blobs/sha256/{_hex(descriptor)}"


def _descriptor(kind: str, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": path.stat().st_size}


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _add_file(tar: tarfile.TarFile, name: str, path: Path) -> None:
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    with path.open("rb") as file:
        tar.addfile(member, file)

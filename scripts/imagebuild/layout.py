"""OCI layouts: reading one that a builder wrote, and the archive that is made of it.

Builders write layers uncompressed here, so that one that is there already is neither written nor compressed again. The
archive holds them compressed; both are kept by digest and shared by all images.
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

_REF = "org.opencontainers.image.ref.name"
# What containerd and docker read a name from.
_NAMED = "io.containerd.image.name"
_GZIPPED = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_LEVEL = 6


@dataclass(frozen=True)
class Built:
    """One image of a layout: its configuration and its layers' uncompressed tars, lowest first."""

    image_id: str
    config: dict[str, Any]
    config_file: Path
    layers: tuple[Path, ...]


@dataclass(frozen=True)
class Archived:
    """One archive: the digest of its manifest, and the sum of its compressed layers in bytes."""

    digest: str
    size: int


def read_built(layout: Path, name: str) -> Built:
    """The image that the layout knows by `name`; raises KeyError."""
    index = json.loads((layout / "index.json").read_text())
    for entry in index["manifests"]:
        if entry.get("annotations", {}).get(_REF) == name:
            manifest = json.loads(blob(layout, entry["digest"]).read_text())
            config = blob(layout, manifest["config"]["digest"])
            layers = tuple(blob(layout, layer["digest"]) for layer in manifest["layers"])
            return Built(manifest["config"]["digest"], json.loads(config.read_text()), config, layers)
    raise KeyError(name)


def blob(layout: Path, digest: str) -> Path:
    """Where the layout keeps a blob."""
    return layout / "blobs" / digest.replace(":", "/")


def compressed(layer: Path, cache: Path) -> Path:
    """The layer gzipped, without a time stamp, kept in `cache` by the digest of its tar."""
    target = cache / f"{layer.name}.tar.gz"
    if target.is_file():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    with layer.open("rb") as tar, partial.open("wb") as out, gzip.GzipFile("", "wb", _LEVEL, out, mtime=0) as packed:
        while piece := tar.read(1 << 20):
            packed.write(piece)
    return partial.replace(target)


def write_archive(built: Built, cache: Path, name: str, annotations: dict[str, str], target: Path) -> Archived:
    """Write an OCI archive with this image alone, called `name`; whole or not at all."""
    with ThreadPoolExecutor(2) as workers:
        packed = list(workers.map(lambda layer: compressed(layer, cache), built.layers))
    layers = [_descriptor(_GZIPPED, path) for path in packed]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", built.config_file),
            "layers": layers,
            "annotations": annotations,
        }
    )
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    entry = {"mediaType": _MANIFEST, "digest": digest, "size": len(manifest)}
    entry["annotations"] = {_NAMED: name, _REF: name}
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [entry]}))
        _add(tar, f"blobs/{digest.replace(':', '/')}", manifest)
        for path, described in zip(packed, layers, strict=True):
            member = f"blobs/{described['digest'].replace(':', '/')}"
            if member not in tar.getnames():  # an empty layer may come twice
                _add_file(tar, member, path)
        _add_file(tar, f"blobs/{built.image_id.replace(':', '/')}", built.config_file)
    partial.replace(target)
    return Archived(digest, sum(layer["size"] for layer in layers))


def adopt(saved: Path, layout: Path, name: str) -> None:
    """Move the one image of another layout into this one, under `name`."""
    for source in (saved / "blobs" / "sha256").iterdir():
        target = layout / "blobs" / "sha256" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
    (entry,) = json.loads((saved / "index.json").read_text())["manifests"]
    entry["annotations"] = {_REF: name}
    index = layout / "index.json"
    known = json.loads(index.read_text())["manifests"] if index.is_file() else []
    others = [other for other in known if other.get("annotations", {}).get(_REF) != name]
    index.write_bytes(_json({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [*others, entry]}))
    (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))


def prune(layout: Path, cache: Path, names: Iterable[str]) -> None:
    """Remove every blob that no image of these names needs; a name that is not there needs nothing."""
    index = json.loads((layout / "index.json").read_text())
    kept = set(names)
    index["manifests"] = [entry for entry in index["manifests"] if entry.get("annotations", {}).get(_REF) in kept]
    needed = set()
    for entry in index["manifests"]:
        manifest = json.loads(blob(layout, entry["digest"]).read_text())
        needed |= {part["digest"].partition(":")[2] for part in (entry, manifest["config"], *manifest["layers"])}
    (layout / "index.json").write_bytes(_json(index))
    for path in [*(layout / "blobs" / "sha256").iterdir(), *cache.iterdir()]:
        if path.name.partition(".")[0] not in needed:
            path.unlink()


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

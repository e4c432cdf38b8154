"""An OCI image archive from a handful of files: what `FROM scratch` and `COPY` would give, without a builder.

One layer, no history, times zero: the same files give the same bytes, so the archive's digest says whether a node has
it already.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from filelock import FileLock

from e2e_cluster.errors import ClusterError

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_REF = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class ScratchImage:
    """An image of its own files only.

    `name` is the full reference (registry/repository:tag); `files` maps absolute paths in the image to files here,
    whose executable bit is kept; `links` maps absolute paths in the image to what they point at.
    """

    name: str
    files: Mapping[str, Path]
    entrypoint: Sequence[str] = ()
    user: str = "65534:65534"
    links: Mapping[str, str] = field(default_factory=dict)


def archived(cache: Path, image: ScratchImage) -> Path:
    """The archive of `image` in `cache`, written where no archive of the same content is there."""
    digest = hashlib.sha256(repr((image.name, image.entrypoint, image.user, sorted(image.links.items()))).encode())
    for path, source in sorted(image.files.items()):
        digest.update(path.encode())
        with source.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    name = image.name.rsplit("/", 1)[-1].replace(":", "-")
    archive = cache / "images" / f"{name}-{digest.hexdigest()[:16]}.tar"
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(archive.with_suffix(".lock")):
        if not archive.exists():
            write_archive(image, archive)
    return archive


def write_archive(image: ScratchImage, target: Path) -> None:
    """Write `image` to `target` as an OCI archive for one Linux platform (amd64). Replaces it whole or not at all."""
    layer = _layer(image)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": image.user,
                "Entrypoint": list(image.entrypoint),
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    names = {"io.containerd.image.name": image.name, _REF: image.name}
    index = _json({"schemaVersion": 2, "manifests": [{**_descriptor(_MANIFEST, manifest), "annotations": names}]})
    members = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": index}
    members |= {f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}": blob for blob in (config, manifest, layer)}
    partial = target.with_name(target.name + ".partial")
    with tarfile.open(partial, "w") as archive:
        for path, content in members.items():
            _add(archive, path, content, mode=0o644)
    partial.replace(target)


def reference_of(archive: Path) -> str:
    """The name in an OCI archive; ClusterError where it has none."""
    try:
        with tarfile.open(archive) as tar:
            index = tar.extractfile("index.json")
            manifests = json.load(index)["manifests"] if index else []
        return str(manifests[0]["annotations"][_REF])
    except (OSError, tarfile.TarError, KeyError, IndexError, ValueError) as error:
        raise ClusterError(f"{archive} is no OCI archive with a name: {error!r}") from error


def _layer(image: ScratchImage) -> bytes:
    paths = [*image.files, *image.links]
    folders = {str(parent) for path in paths for parent in PurePosixPath(path).parents} - {"/"}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder in sorted({*folders, "/tmp"}):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == "/tmp" else 0o755
            layer.addfile(entry)
        for path, source in sorted(image.files.items()):
            executable = source.stat().st_mode & 0o111
            _add(layer, path.lstrip("/"), source.read_bytes(), mode=0o755 if executable else 0o644)
        for path, link_to in sorted(image.links.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.type, entry.linkname = tarfile.SYMTYPE, link_to
            layer.addfile(entry)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, path: str, content: bytes, *, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

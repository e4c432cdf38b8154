"""The images that `make images` wrote, and those of tests alone: archives, and the names they are known by."""

import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from e2e_cluster.addons.oci_archive import reference_of

# Names in the manifests, and of the archives.
_IMAGES = {
    "IMAGE_GATEWAY": "gateway",
    "IMAGE_LICENSE_PROXY": "license-proxy",
    "IMAGE_LOAD_BALANCER": "load-balancer",
    "IMAGE_SYNC_API": "sync-api",
    "IMAGE_ASR": "asr",
    "IMAGE_MODEL_STORE": "model-store",
    "IMAGE_OPERATOR": "operator",
    "IMAGE_MODELS": "test-models",
    "IMAGE_SCRIPTED": "scripted",
    "IMAGE_SCRIPTED_NEXT": "scripted-next",
}


def built_images() -> Mapping[str, Path]:
    """The archive of each image by its name in the manifests; the test fails where one is missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamingstack" / "images"
    archives = {name: folder / f"{image}.tar" for name, image in _IMAGES.items()}
    missing = sorted(archive.stem for archive in archives.values() if not archive.exists())
    if missing:
        pytest.fail(f"no image {', '.join(missing)} in {folder}; run `make e2e`, which builds them")
    return archives


def references(archives: Mapping[str, Path]) -> Mapping[str, str]:
    """The full reference of each image."""
    return {name: reference_of(archive) for name, archive in archives.items()}


def renamed(archive: Path, reference: str, target: Path) -> None:
    """Write the same image to `target` under another name, as a later release of it would come."""
    with tarfile.open(archive) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member)
            if member.name.removeprefix("./") != "index.json" or content is None:
                new.addfile(member, content)
                continue
            index = json.load(content)
            for manifest in index["manifests"]:
                manifest["annotations"] = {"org.opencontainers.image.ref.name": reference}
            text = json.dumps(index).encode()
            member.size = len(text)
            new.addfile(member, io.BytesIO(text))

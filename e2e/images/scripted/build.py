"""Builds and archives the scripted recogniser's image as `make images` does the product's; see `build` beside this.

Layers that it shares with the recogniser's archive are compressed once, and loaded into a node once.
"""

import fcntl
import io
import json
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

from imagebuild.builder import Buildah, BuildError
from imagebuild.catalogue import Image, reference, select
from imagebuild.work import Place, Release, make

HOME = Path("e2e/images/scripted")
IMAGE = Image("scripted", str(HOME / "Containerfile"), limit=None, on_request=True)
BASE = "localhost/streamingstack/scripted-base:latest"


def again(archive: Path, name: str, target: Path) -> None:
    """The same image under another name: what a pool is rolled to."""
    partial = target.with_suffix(".partial")
    with tarfile.open(archive) as source, tarfile.open(partial, "w") as out:
        for member in source:
            content = source.extractfile(member)
            assert content is not None, "an archive of files alone"
            if member.name == "index.json":
                index = json.load(content)
                for key in ("io.containerd.image.name", "org.opencontainers.image.ref.name"):
                    index["manifests"][0]["annotations"][key] = name
                content = io.BytesIO(json.dumps(index).encode())
                member.size = content.getbuffer().nbytes
            out.addfile(member, content)
    partial.replace(target)


def main() -> int:
    """Exit status: 0, or 1 with one line where it could not be built."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamingstack" / "images"
    registry = os.environ.get("REGISTRY") or "localhost/streamingstack"
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    recogniser = reference(registry, select(["asr"])[0], version)
    flags = ("--isolation", "chroot", "--pull-never", "--ignorefile", str(HOME / ".dockerignore"))
    release = Release(registry, version, version, source="", is_pushed=bool(os.environ.get("REGISTRY")))
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            subprocess.run(["buildah", "tag", recogniser, BASE], check=True, capture_output=True, text=True)
            builder = Buildah(flags)
            done = make(IMAGE, release, builder, Place(cache))
            archive, following = Path(done.record.archive), cache / "scripted-next.tar"
            if done.is_new or not following.exists():
                again(archive, f"{done.record.reference}-next", following)
            if release.is_pushed:
                builder.push(done.record.reference)
        except subprocess.CalledProcessError as failure:
            sys.stderr.write(f"images: no {recogniser}: build it first (e2e/images/build asr): {failure.stderr}\n")
            return 1
        except BuildError as failure:
            sys.stderr.write(f"images: {failure}\n")
            return 1
    sys.stdout.write(
        f"images: {done.record.reference}  {done.record.archive}{'' if done.is_built else '  unchanged'}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

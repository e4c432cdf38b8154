"""The programs that build: buildah or docker, whichever is there."""

import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from imagebuild.catalogue import Image

_SHOWN_LINES = 25


class BuildError(Exception):
    """What went wrong, in one line or with the end of the builder's own output."""


@dataclass(frozen=True)
class Order:
    """One build: the image, its full name, and the labels that its Containerfile cannot know."""

    image: Image
    reference: str
    labels: Mapping[str, str]


class Builder(Protocol):
    """Builds an image, tells its id, saves it into a folder, pushes it."""

    @property
    def flags(self) -> Sequence[str]:
        """For its builds."""

    def build(self, order: Order) -> None:
        """Build and tag it; raises BuildError."""

    def image_id(self, reference: str) -> str:
        """The digest of its configuration, `sha256:...`; raises BuildError."""

    def find_id(self, reference: str) -> str:
        """The same; empty where the image is not there."""

    def find_digest(self, reference: str) -> str:
        """The digest of its manifest, `sha256:...`; empty where the builder does not know it."""

    def save(self, reference: str, folder: Path) -> None:
        """Write it into an empty folder, as `saved.read_saved` reads it; raises BuildError."""

    def push(self, reference: str) -> None:
        """Push it to the registry of its name; raises BuildError."""


def build_arguments(order: Order) -> list[str]:
    """What buildah and docker take alike, the context last."""
    image = order.image
    return [
        *(["--target", image.target] if image.target else []),
        *(
            part
            for key, value in order.labels.items()
            for part in ("--label", f"org.opencontainers.image.{key}={value}")
        ),
        "--file",
        image.containerfile,
        "--tag",
        order.reference,
        ".",
    ]


@dataclass(frozen=True)
class Buildah:
    """Buildah, with `flags` for its builds."""

    flags: Sequence[str] = ()

    def build_command(self, order: Order) -> tuple[str, ...]:
        """Layers are kept, so that only what changed is built again; no container is."""
        keeping = ("--layers", "--force-rm", "--format", "oci")
        return ("buildah", "build", *keeping, *self.flags, *build_arguments(order))

    def build(self, order: Order) -> None:
        """See Builder."""
        run(*self.build_command(order))

    def image_id(self, reference: str) -> str:
        """See Builder."""
        found = run("buildah", "inspect", "--type", "image", "--format", "{{.FromImageID}}", reference).strip()
        return f"sha256:{found.removeprefix('sha256:')}"

    def find_id(self, reference: str) -> str:
        """See Builder."""
        return _found(self, reference)

    def find_digest(self, reference: str) -> str:
        """See Builder."""
        try:
            return run("buildah", "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", reference).strip()
        except BuildError:
            return ""

    def save(self, reference: str, folder: Path) -> None:
        """See Builder. To an OCI layout buildah would compress every layer again, each time."""
        run("buildah", "push", "--quiet", "--format", "oci", "--disable-compression", reference, f"dir:{folder}")

    def push(self, reference: str) -> None:
        """See Builder."""
        run("buildah", "push", reference, f"docker://{reference}")


@dataclass(frozen=True)
class Docker:
    """Docker 25 or newer: older ones do not save as an OCI layout. With buildx: without it every stage is built."""

    flags: Sequence[str] = ()

    def build_command(self, order: Order) -> tuple[str, ...]:
        """One image, and no index with an attestation beside it."""
        return ("docker", "buildx", "build", "--load", "--provenance=false", *self.flags, *build_arguments(order))

    def build(self, order: Order) -> None:
        """See Builder."""
        run(*self.build_command(order))

    def image_id(self, reference: str) -> str:
        """See Builder."""
        return run("docker", "image", "inspect", "--format", "{{.Id}}", reference).strip()

    def find_id(self, reference: str) -> str:
        """See Builder."""
        return _found(self, reference)

    def find_digest(self, reference: str) -> str:
        """See Builder. BuildKit keeps bases to itself: only one that was pulled by itself is known."""
        try:
            said = run("docker", "image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', reference)
        except BuildError:
            return ""
        return said.strip().partition("\n")[0].partition("@")[2]

    def save(self, reference: str, folder: Path) -> None:
        """See Builder."""
        archive = folder.with_suffix(".tar")
        run("docker", "save", "--output", str(archive), reference)
        with tarfile.open(archive) as tar:
            # Pythons before 3.11.4 have no filters, and know no argument for one. Docker made the archive just now.
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(folder)  # noqa: S202
        archive.unlink()

    def push(self, reference: str) -> None:
        """See Builder."""
        run("docker", "push", reference)


def find_builder(environment: Mapping[str, str]) -> Builder:
    """What BUILDER names, else buildah, else docker; raises BuildError where neither is there."""
    flags = shlex.split(environment.get("BUILD_FLAGS", ""))
    wanted = environment.get("BUILDER") or ("buildah" if shutil.which("buildah") else "docker")
    if wanted == "buildah" and shutil.which("buildah"):
        return Buildah(flags)
    if wanted == "docker" and shutil.which("docker"):
        run("docker", "version", "--format", "{{.Server.Version}}")
        if not _has_buildx():
            raise BuildError("docker has no buildx; install it (apt-get install docker-buildx-plugin), or buildah")
        return Docker(flags)
    raise BuildError(f"{wanted} is not there; install buildah (apt-get install buildah) or docker, or set BUILDER")


def _has_buildx() -> bool:
    try:
        run("docker", "buildx", "version")
    except BuildError:
        return False
    return True


def _found(builder: Builder, reference: str) -> str:
    try:
        return builder.image_id(reference)
    except BuildError:
        return ""


def run(*command: str) -> str:
    """Standard output; raises BuildError with the end of what the program said."""
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        said = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-_SHOWN_LINES:])
        raise BuildError(f"{shlex.join(command[:2])} failed:\n{said}")
    return ended.stdout

"""One image from its Containerfile to its archive, its bill of materials and its record."""

import json
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from imagebuild.bill import is_evidence, write_bill
from imagebuild.builder import Builder, Order
from imagebuild.catalogue import Image, reference
from imagebuild.checks import faults
from imagebuild.containerfile import parse_containerfile
from imagebuild.contents import read_contents
from imagebuild.layout import prune, read_built, write_archive


@dataclass(frozen=True)
class Place:
    """Where archives lie; everything is below `root`, outside the work tree."""

    root: Path

    @property
    def layout(self) -> Path:
        """What builders write into."""
        return self.root / "layout"

    @property
    def layers(self) -> Path:
        """Compressed layers."""
        return self.root / "layers"

    def archive(self, image: Image) -> Path:
        """An OCI archive."""
        return self.root / f"{image.name}.tar"

    def bill(self, image: Image) -> Path:
        """CycloneDX."""
        return self.root / f"{image.name}.cdx.json"

    def record(self, image: Image) -> Path:
        """What is known of the archive."""
        return self.root / f"{image.name}.json"


@dataclass(frozen=True)
class Record:
    """What lies beside an archive, as JSON. `digest` is the manifest's, `size` the compressed layers' in bytes."""

    reference: str
    image_id: str
    digest: str
    size: int
    archive: str
    bill: str
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Done:
    """An image that was built: its record, whether the archive was written anew, and seconds."""

    record: Record
    is_new: bool
    build_seconds: float
    export_seconds: float


@dataclass(frozen=True)
class Release:
    """What the images of one run have in common."""

    registry: str
    tag: str
    version: str
    source: str


def make(image: Image, release: Release, builder: Builder, place: Place) -> Done:
    """Build, and write the archive where it is not that of this very image; raises BuildError."""
    begin = time.monotonic()
    order = Order(
        image,
        reference(release.registry, image, release.tag),
        {"VERSION": release.version, "REVISION": revision(image), "SOURCE": release.source},
    )
    builder.build(order)
    built = time.monotonic()
    known = read_record(place, image)
    if known and known.image_id == builder.image_id(order.reference) and known.reference == order.reference:
        return Done(known, False, built - begin, 0.0)
    record = export(order, builder, place)
    return Done(record, True, built - begin, time.monotonic() - built)


def export(order: Order, builder: Builder, place: Place) -> Record:
    """Archive, bill of materials and record of an image that the builder has."""
    image = order.image
    place.root.mkdir(parents=True, exist_ok=True)
    place.record(image).unlink(missing_ok=True)
    builder.export(order.reference, place.layout, image.name)
    built = read_built(place.layout, image.name)
    contents = read_contents(built.layers, is_evidence)
    place.bill(image).write_text(write_bill(contents, built.config, image.name))
    archived = write_archive(built, place.layers, order.reference, _annotations(built.config), place.archive(image))
    record = Record(
        reference=order.reference,
        image_id=builder.image_id(order.reference),
        digest=archived.digest,
        size=archived.size,
        archive=str(place.archive(image)),
        bill=str(place.bill(image)),
        faults=tuple(faults(image, built.config, contents, archived.size)),
    )
    place.record(image).write_text(json.dumps(asdict(record), indent=1))
    prune(place.layout, place.layers, [path.stem for path in place.root.glob("*.tar")])
    return record


def read_record(place: Place, image: Image) -> Record | None:
    """What was written last; None where nothing is or the archive is gone."""
    if not place.record(image).is_file() or not place.archive(image).is_file():
        return None
    fields = json.loads(place.record(image).read_text())
    return Record(**{**fields, "faults": tuple(fields["faults"])})


def revision(image: Image) -> str:
    """The commit that last changed what this image is built from; `-dirty` behind it where there is more."""
    sources = parse_containerfile(Path(image.containerfile).read_text()).sources(image.target)
    paths = [image.containerfile, ".dockerignore", *sources]
    commit = _git("log", "-1", "--format=%H", "--", *paths)
    changed = _git("status", "--porcelain", "--", *paths)
    return f"{commit or 'none'}{'-dirty' if changed else ''}"


def _git(*arguments: str) -> str:
    ended = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return ended.stdout.strip()


def _annotations(config: dict[str, dict[str, dict[str, str]]]) -> dict[str, str]:
    return {key: value for key, value in (config["config"].get("Labels") or {}).items() if value}

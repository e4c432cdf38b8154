"""One image from its Containerfile to its archive, its bill of materials and its record."""

import json
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from imagebuild.bases import Bases, build_args, resolve
from imagebuild.bill import is_evidence, write_bill
from imagebuild.builder import Builder, BuildError, Order
from imagebuild.catalogue import IMAGES, Image, reference
from imagebuild.checks import faults
from imagebuild.containerfile import Containerfile, parse_containerfile
from imagebuild.contents import read_contents
from imagebuild.fingerprint import fingerprint
from imagebuild.saved import Saved, prune, read_saved, write_archive


@dataclass(frozen=True)
class Place:
    """Where archives lie; everything is below `root`, outside the work tree."""

    root: Path

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
    """What lies beside an archive, as JSON. `digest` is the manifest's, `size` the compressed layers' in bytes,
    `layers` the digests of their tars, `made_of` the fingerprint, `bases` the digest of each base's manifest."""

    reference: str
    image_id: str
    digest: str
    size: int
    archive: str
    bill: str
    layers: tuple[str, ...]
    faults: tuple[str, ...]
    made_of: str = ""
    bases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """An image that is there: its record, whether it was built and its archive written just now, and seconds."""

    record: Record
    is_new: bool
    is_built: bool
    build_seconds: float
    export_seconds: float


@dataclass(frozen=True)
class Release:
    """What the images of one run have in common."""

    registry: str
    tag: str
    version: str
    source: str
    is_pushed: bool


def make(image: Image, release: Release, builder: Builder, place: Place) -> Done:
    """Build where anything that it is built from changed, archive where the image did; raises BuildError."""
    begin = time.monotonic()
    order = Order(
        image,
        reference(release.registry, image, release.tag),
        {"version": release.version, "revision": revision(image), "source": release.source},
    )
    made_of = _made_of(order, builder)
    known = read_record(place, image)
    if known and known.made_of == made_of and not release.is_pushed:
        return Done(known, False, False, time.monotonic() - begin, 0.0)
    builder.build(order)
    built = time.monotonic()
    image_id = builder.image_id(order.reference)
    bases = _bases(order, builder)
    if known and (known.image_id, known.reference, known.bases) == (image_id, order.reference, bases.digests):
        known = replace(known, made_of=made_of)
        _write_record(place, image, known)
        return Done(known, False, True, built - begin, 0.0)
    record = export(order, made_of, bases, builder, place)
    return Done(record, True, True, built - begin, time.monotonic() - built)


def _made_of(order: Order, builder: Builder) -> str:
    image = order.image
    read = _read(image, builder)
    bases = [f"{base} {builder.find_id(base)}" for base in read.bases(image.target)]
    facts = [repr(builder), order.reference, repr(sorted(order.labels.items())), *bases]
    return fingerprint(Path(), [image.containerfile, ".dockerignore", *read.sources(image.target)], facts)


def _bases(order: Order, builder: Builder) -> Bases:
    read, target = _read(order.image, builder), order.image.target
    return resolve(read.base(target), read.bases(target), builder.find_digest)


def _read(image: Image, builder: Builder) -> Containerfile:
    return parse_containerfile(Path(image.containerfile).read_text(), build_args(builder.flags))


def export(order: Order, made_of: str, bases: Bases, builder: Builder, place: Place) -> Record:
    """Archive, bill of materials and record of an image that the builder has; raises BuildError."""
    place.record(order.image).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=place.root) as folder:
        builder.save(order.reference, Path(folder) / "image")
        try:
            saved = read_saved(Path(folder) / "image")
            record = _describe(order, builder.image_id(order.reference), saved, bases, place)
        except ValueError as wrong:
            raise BuildError(f"{order.reference} was saved wrongly: {wrong}") from None
    record = replace(record, made_of=made_of, bases=dict(bases.digests))
    _write_record(place, order.image, record)
    records = [known for image in IMAGES if (known := read_record(place, image))]
    prune(place.layers, (digest for known in records for digest in known.layers))
    return record


def _describe(order: Order, image_id: str, saved: Saved, bases: Bases, place: Place) -> Record:
    image = order.image
    contents = read_contents([layer.file for layer in saved.layers], is_evidence)
    place.bill(image).write_text(write_bill(contents, saved.config, image.name))
    labels = {key: value for key, value in (saved.config["config"].get("Labels") or {}).items() if value}
    annotations = labels | bases.annotations
    archived = write_archive(saved, place.layers, order.reference, annotations, place.archive(image))
    return Record(
        reference=order.reference,
        image_id=image_id,
        digest=archived.digest,
        size=archived.size,
        archive=str(place.archive(image)),
        bill=str(place.bill(image)),
        layers=tuple(layer.digest for layer in saved.layers),
        faults=tuple(faults(image, saved.config, contents, archived.size)),
    )


def _write_record(place: Place, image: Image, record: Record) -> None:
    place.record(image).write_text(json.dumps(asdict(record), indent=1))


def read_record(place: Place, image: Image) -> Record | None:
    """What was written last; None where nothing is or the archive is gone."""
    if not place.record(image).is_file() or not place.archive(image).is_file():
        return None
    fields = json.loads(place.record(image).read_text())
    try:
        return Record(**{**fields, "layers": tuple(fields["layers"]), "faults": tuple(fields["faults"])})
    except (KeyError, TypeError):  # written by another version of this script
        return None


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

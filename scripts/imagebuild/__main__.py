"""The command behind `make images` and `make images-check`; see `scripts/images --help`."""

import argparse
import fcntl
import os
import shlex
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from imagebuild.builder import BuildError, find_builder
from imagebuild.catalogue import MEGABYTE, Image, reference, select
from imagebuild.pin import digest_at_registry, pins
from imagebuild.work import Done, Place, Record, Release, make, read_record


def main(arguments: Sequence[str]) -> int:
    """Exit status: 0, or 1 where an image could not be built or breaks a rule, 2 for wrong arguments."""
    options = _parser().parse_args(arguments)
    try:
        images = select(options.names)
    except ValueError as wrong:
        _say(f"images: {wrong}")
        return 2
    place = Place(Path(options.cache))
    if options.check:
        return _check(images, place)
    place.root.mkdir(parents=True, exist_ok=True)
    with (place.root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build(images, options, place)


def _parser() -> argparse.ArgumentParser:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamingstack" / "images"
    parser = argparse.ArgumentParser(
        prog="scripts/images",
        description="Build the images, each into an OCI archive with its bill of materials beside it.",
        epilog="BUILDER=buildah|docker chooses the program, BUILD_FLAGS are flags for its builds.",
    )
    parser.add_argument("names", nargs="*", metavar="IMAGE", help="gateway, asr, ...; none: all but asr-nvidia")
    parser.add_argument("--registry", default="localhost/streamingstack", help="before the name [%(default)s]")
    parser.add_argument("--tag", help="after it [the project's version]")
    parser.add_argument("--source", default="", help="URL for the label org.opencontainers.image.source")
    parser.add_argument("--cache", default=str(cache), help="folder of the archives [%(default)s]")
    parser.add_argument(
        "--pin", action="store_true", help="build on the very digests that the bases' registries tell now"
    )
    parser.add_argument("--push", action="store_true", help="push to the registry too")
    parser.add_argument("--check", action="store_true", help="build nothing: judge the archives that are there")
    return parser


def _build(images: Sequence[Image], options: argparse.Namespace, place: Place) -> int:
    version = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    release = Release(options.registry, options.tag or version, version, options.source, options.push)
    failed = False
    try:
        builder = find_builder(_pinned(images) if options.pin else os.environ)
        for image in images:
            _say(f"images: building {image.name}", file=sys.stderr)
            done = make(image, release, builder, place)
            _say(_line(image, done))
            failed |= _tell_faults(image, done.record)
            if options.push:
                builder.push(reference(release.registry, image, release.tag))
    except BuildError as failure:
        _say(f"images: {failure}", file=sys.stderr)
        return 1
    return int(failed)


def _pinned(images: Sequence[Image]) -> dict[str, str]:
    """The environment with flags that pin every base."""
    flags = shlex.split(os.environ.get("BUILD_FLAGS", ""))
    files = [(Path(image.containerfile).read_text(), image.target) for image in images]
    found = pins(files, flags, digest_at_registry)
    for flag in found:
        _say(f"images: pinned {flag.partition('=')[2]}")
    return {**os.environ, "BUILD_FLAGS": shlex.join([*flags, *found])}


def _line(image: Image, done: Done) -> str:
    size = f"{done.record.size / MEGABYTE:.1f} MB"
    export = f"archive {done.export_seconds:.0f} s" if done.is_new else "archive unchanged"
    took = f"built in {done.build_seconds:.0f} s, {export}" if done.is_built else "unchanged"
    return f"images: {image.name:<14} {size:>9}  {done.record.digest}  {took}"


def _check(images: Sequence[Image], place: Place) -> int:
    failed = False
    for image in images:
        record = read_record(place, image)
        if record is None:
            _say(f"images: {image.name}: no archive in {place.root}; run make images IMAGES={image.name}")
            failed = True
            continue
        limit = f"of {image.limit / MEGABYTE:.0f} MB" if image.limit else "no limit"
        _say(f"images: {image.name:<14} {record.size / MEGABYTE:6.1f} MB {limit:<11} {record.digest}")
        failed |= _tell_faults(image, record)
    return int(failed)


def _tell_faults(image: Image, record: Record) -> bool:
    for fault in record.faults:
        _say(f"images: {image.name}: {fault}", file=sys.stderr)
    return bool(record.faults)


def _say(text: str, file: TextIO | None = None) -> None:
    stream = file or sys.stdout
    stream.write(f"{text}\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

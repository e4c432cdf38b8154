"""Bases pinned by digest, for a build that others can repeat: each tag is asked for at its registry once."""

import shutil
from collections.abc import Callable, Mapping, Sequence

from imagebuild.bases import build_args
from imagebuild.builder import BuildError, run
from imagebuild.containerfile import parse_containerfile


def pins(files: Sequence[tuple[str, str | None]], flags: Sequence[str], find: Callable[[str], str]) -> list[str]:
    """Flags of a builder that pin every base of these Containerfiles (text, target) that no digest pins yet.

    `flags` are those of the build, whose --build-arg count; `find` gives the digest of a reference. Raises ValueError
    where one ARG means two bases.
    """
    wanted: dict[str, str] = {}
    for text, target in files:
        read = parse_containerfile(text, build_args(flags))
        for name, value in _bases(read.arguments, read.bases(target)):
            if wanted.setdefault(name, value) != value:
                raise ValueError(f"ARG {name} is {wanted[name]} in one Containerfile and {value} in another")
    return [f"--build-arg={name}={value}@{find(value)}" for name, value in sorted(wanted.items())]


def _bases(arguments: Mapping[str, str], bases: Sequence[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in arguments.items() if value in bases and "@" not in value]


def digest_at_registry(reference: str) -> str:
    """`sha256:...` of the manifest; raises BuildError where no registry tells it."""
    if shutil.which("skopeo") is None:
        raise BuildError("--pin asks registries through skopeo; install it (apt-get install skopeo)")
    try:
        return run("skopeo", "inspect", "--format", "{{.Digest}}", f"docker://{reference}").strip()
    except BuildError as failure:
        raise BuildError(
            f"{reference} cannot be pinned, its registry tells no digest; leave --pin out\n{failure}"
        ) from None

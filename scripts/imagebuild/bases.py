"""The images from outside that ours are made from: which of their tags and digests, and how that is told; pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# https://github.com/opencontainers/image-spec/blob/main/annotations.md
NAME = "org.opencontainers.image.base.name"
DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True)
class Bases:
    """`main` is what the image's own layers lie on; `digests` has every base, "" where its digest is not known."""

    main: str
    digests: Mapping[str, str]

    @property
    def annotations(self) -> dict[str, str]:
        """Those of the OCI for the base of an image. `base.name` has no digest in it."""
        told = {NAME: self.main.partition("@")[0], DIGEST: self.digests.get(self.main, "")}
        return {key: value for key, value in told.items() if value}


def resolve(main: str, references: Sequence[str], find_digest: Callable[[str], str]) -> Bases:
    """Each base with the digest that pins it, else with the one that `find_digest` knows."""
    return Bases(main, {base: base.partition("@")[2] or find_digest(base) for base in references})


def build_args(flags: Sequence[str]) -> dict[str, str]:
    """What `--build-arg NAME=VALUE` among a builder's flags sets; the last one counts."""
    found: dict[str, str] = {}
    for flag, after in pairwise([*flags, ""]):
        given = after if flag == "--build-arg" else flag.partition("--build-arg=")[2]
        name, equals, value = given.partition("=")
        if equals:
            found[name] = value
    return found

"""Which base an image was made from is told by name and digest."""

import pytest
from imagebuild.bases import DIGEST, NAME, Bases, build_args, resolve

PYTHON, UV = "docker.io/library/python:3.11.14", "ghcr.io/astral-sh/uv:0.13.9"
PINNED = f"{PYTHON}@sha256:12ab"


def test_a_digest_that_pins_a_base_is_believed_and_the_builder_asked_for_the_others() -> None:
    bases = resolve(PINNED, [PINNED, UV], {UV: "sha256:34cd"}.__getitem__)
    assert bases.digests == {PINNED: "sha256:12ab", UV: "sha256:34cd"}


@pytest.mark.parametrize(
    ("bases", "annotations"),
    [
        (Bases(PYTHON, {PYTHON: "sha256:12ab", UV: "sha256:34cd"}), {NAME: PYTHON, DIGEST: "sha256:12ab"}),
        (Bases(PINNED, {PINNED: "sha256:12ab"}), {NAME: PYTHON, DIGEST: "sha256:12ab"}),
        (Bases(PYTHON, {PYTHON: "", UV: "sha256:34cd"}), {NAME: PYTHON}),
    ],
    ids=["by tag", "pinned", "not known"],
)
def test_the_base_is_annotated_as_the_oci_has_it_and_a_digest_only_where_it_is_known(
    bases: Bases, annotations: dict[str, str]
) -> None:
    assert bases.annotations == annotations


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ("", {}),
        (f"--build-arg PYTHON={PINNED}", {"PYTHON": PINNED}),
        (f"--isolation chroot --build-arg=PYTHON={PINNED} --build-arg UV={UV}", {"PYTHON": PINNED, "UV": UV}),
        ("--build-arg A=1 --build-arg A=2", {"A": "2"}),
        ("--build-arg FROM_THE_ENVIRONMENT --build-arg", {}),
        ("--label PYTHON=x --volume a=b", {}),
    ],
)
def test_build_arguments_are_found_among_a_builders_flags(flags: str, arguments: dict[str, str]) -> None:
    assert build_args(flags.split()) == arguments

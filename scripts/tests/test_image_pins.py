"""Bases are pinned to what their registries tell."""

from pathlib import Path

import pytest
from imagebuild.builder import BuildError
from imagebuild.catalogue import select
from imagebuild.pin import digest_at_registry, pins

TEXT = """ARG BASE=example.com/base:1.2
ARG UV=example.com/uv:3
ARG EXTRA=no-base
FROM ${UV} AS uv
FROM ${BASE}
COPY --from=uv /uv /
"""


def digest(reference: str) -> str:
    return f"sha256:{len(reference)}"


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], ["--build-arg=BASE=example.com/base:1.2@sha256:20", "--build-arg=UV=example.com/uv:3@sha256:16"]),
        (
            ["--build-arg", "BASE=mirror.example.com/base:1.2"],
            ["--build-arg=BASE=mirror.example.com/base:1.2@sha256:27", "--build-arg=UV=example.com/uv:3@sha256:16"],
        ),
        (["--build-arg=BASE=example.com/base@sha256:ab"], ["--build-arg=UV=example.com/uv:3@sha256:16"]),
    ],
    ids=["as written", "behind a mirror", "pinned already"],
)
def test_every_base_without_a_digest_gets_one_and_other_arguments_none(flags: list[str], found: list[str]) -> None:
    assert pins([(TEXT, None)], flags, digest) == found


def test_one_argument_that_means_two_bases_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"ARG BASE is example\.com/base:1\.2 in one Containerfile and .*:2\.0 in another"
    ):
        pins([(TEXT, None), (TEXT.replace(":1.2", ":2.0"), None)], [], digest)


def test_all_bases_of_all_images_are_pinned_at_once() -> None:
    files = [(Path(image.containerfile).read_text(), image.target) for image in select([])]
    names = [flag.split("=")[1] for flag in pins(files, [], digest)]
    assert names == ["NGINX", "PYTHON", "UV"]


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_registry_is_asked_through_skopeo(programs: Path) -> None:
    with pytest.raises(BuildError, match="install it"):
        digest_at_registry("example.com/base:1.2")
    skopeo = programs / "skopeo"
    skopeo.write_text(
        '#!/bin/sh\n[ "$*" = "inspect --format {{.Digest}} docker://example.com/base:1.2" ] && echo sha256:12ab\n'
    )
    skopeo.chmod(0o755)
    assert digest_at_registry("example.com/base:1.2") == "sha256:12ab"
    with pytest.raises(BuildError, match=r"example\.com/other:1 cannot be pinned, its registry tells no digest"):
        digest_at_registry("example.com/other:1")

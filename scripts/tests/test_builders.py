"""What buildah and docker are asked for, and which of them is taken."""

import io
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from imagebuild.builder import Buildah, BuildError, Docker, Order, find_builder
from imagebuild.catalogue import select

(ASR,) = select(["asr"])
ORDER = Order(ASR, "registry.example.com/asr:1", {"version": "1", "source": ""})
SAME = [
    *("--target", "cpu"),
    *("--label", "org.opencontainers.image.version=1", "--label", "org.opencontainers.image.source="),
    *("--file", "services/asr/Containerfile"),
    *("--tag", "registry.example.com/asr:1"),
    ".",
]


def test_docker_builds_with_buildx_into_its_own_store_without_an_attestation() -> None:
    command = Docker(("--pull", "--build-arg", "UV=x")).build_command(ORDER)
    assert list(command) == [
        *("docker", "buildx", "build", "--load", "--provenance=false"),
        *("--pull", "--build-arg", "UV=x"),
        *SAME,
    ]


def test_buildah_keeps_layers_and_no_containers() -> None:
    command = Buildah(("--isolation", "chroot")).build_command(ORDER)
    assert list(command) == [
        *("buildah", "build", "--layers", "--force-rm", "--format", "oci"),
        *("--isolation", "chroot"),
        *SAME,
    ]


@dataclass(frozen=True)
class Programs:
    """The only folder on PATH: its programs write down what they were asked."""

    folder: Path

    def has(self, name: str, script: str = "") -> None:
        (self.folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{self.folder}/asked\n{script}\n')
        (self.folder / name).chmod(0o755)

    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    return Programs(tmp_path / "bin")


def test_buildah_is_taken_before_docker_and_what_builder_names_before_both(programs: Programs) -> None:
    programs.has("docker")
    assert find_builder({}) == Docker([])
    programs.has("buildah")
    assert find_builder({"BUILD_FLAGS": "--label 'a=b c'"}) == Buildah(["--label", "a=b c"])
    assert find_builder({"BUILDER": "docker"}) == Docker([])


@pytest.mark.parametrize(
    ("docker", "environment", "says"),
    [
        (None, {}, "docker is not there; install buildah"),
        (None, {"BUILDER": "kaniko"}, "kaniko is not there; install buildah"),
        ("echo 'Cannot connect to the Docker daemon' >&2; exit 1", {}, "Cannot connect to the Docker daemon"),
        ('[ "$1" != buildx ]', {}, "docker has no buildx; install it"),
    ],
    ids=["nothing", "not known", "not running", "no buildx"],
)
def test_a_builder_that_cannot_build_is_told(
    programs: Programs, docker: str | None, environment: dict[str, str], says: str
) -> None:
    if docker:
        programs.has("docker", docker)
    with pytest.raises(BuildError, match=says):
        find_builder(environment)


def test_docker_tells_ids_and_digests_and_knows_none_of_what_it_has_not(programs: Programs) -> None:
    told = 'case "$*" in *RepoDigests*) echo a@sha256:12; echo b@sha256:34;; *) echo sha256:56;; esac'
    programs.has("docker", told)
    assert Docker().find_digest("a:1") == "sha256:12"
    assert Docker().image_id("a:1") == Docker().find_id("a:1") == "sha256:56"
    programs.has("docker", "echo 'No such image' >&2; exit 1")
    assert Docker().find_digest("a:1") == Docker().find_id("a:1") == ""
    with pytest.raises(BuildError, match="No such image"):
        Docker().image_id("a:1")


def test_docker_saves_by_way_of_a_tar_that_does_not_stay(programs: Programs, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "saved", "w") as tar:
        tar.addfile(tarfile.TarInfo("index.json"), io.BytesIO())
    os.symlink("/bin/cat", programs.folder / "cat")
    programs.has("docker", f'cat {tmp_path}/saved >"$3"')
    Docker().save("a:1", tmp_path / "image")
    assert programs.asked() == [f"docker save --output {tmp_path}/image.tar a:1"]
    assert [path.name for path in (tmp_path / "image").iterdir()] == ["index.json"]
    assert not (tmp_path / "image.tar").exists()


def test_docker_and_buildah_push_by_name(programs: Programs) -> None:
    programs.has("docker")
    programs.has("buildah")
    Docker().push("registry.example.com/a:1")
    Buildah().push("registry.example.com/a:1")
    assert programs.asked() == [
        "docker push registry.example.com/a:1",
        "buildah push registry.example.com/a:1 docker://registry.example.com/a:1",
    ]

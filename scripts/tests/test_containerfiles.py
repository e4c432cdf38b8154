"""What every Containerfile must say, and that the reader of them reads them right."""

import re
import tomllib
from pathlib import Path

import pytest
from imagebuild.builder import Order, build_arguments
from imagebuild.catalogue import IMAGES, Image, reference, select
from imagebuild.containerfile import Containerfile, parse_containerfile
from stack_model.hearing import HEARING_FILES

REPOSITORY = Path(__file__).parents[2]
WHOLE_VERSION = re.compile(r"^\S+:v?\d+\.\d+\S*$")
EVERY_IMAGE = pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)


def read(image: Image) -> Containerfile:
    return parse_containerfile((REPOSITORY / image.containerfile).read_text())


def commands(image: Image) -> str:
    return "\n".join(run.text for stage in read(image).reached(image.target) for run in stage.all("RUN"))


@EVERY_IMAGE
def test_bases_are_named_in_full_and_pinned_to_a_whole_version(image: Image) -> None:
    bases = read(image).bases(image.target)
    assert bases
    for base in bases:
        assert WHOLE_VERSION.match(base), base
        assert "." in base.split("/")[0], f"{base} does not name its registry"


@EVERY_IMAGE
def test_the_image_runs_as_one_unprivileged_number(image: Image) -> None:
    users = [user.text for user in read(image).stage(image.target).all("USER")]
    assert users == ["10001:10001"]


@EVERY_IMAGE
def test_python_packages_come_from_the_lock_file_by_their_hashes_and_from_nowhere_else(image: Image) -> None:
    installs = re.findall(r"(?:pip|uv pip|apt-get|apk|npm) install[^&]*", commands(image))
    assert installs
    for install in installs:
        assert install.startswith("uv pip install"), install
        assert {"--require-hashes", "--no-deps", "--no-cache", "--requirement"} <= set(install.split()), install
    assert "uv export --quiet --frozen" in commands(image)


@EVERY_IMAGE
def test_dependencies_and_sources_are_layers_apart_and_the_sources_come_last(image: Image) -> None:
    copies = [copy.text for copy in read(image).stage(image.target).all("COPY")]
    dependencies = next(at for at, copy in enumerate(copies) if "dependencies" in copy)
    sources = next(at for at, copy in enumerate(copies) if "--from=sources" in copy)
    assert dependencies < sources
    making = [it for it in read(image).stage(image.target).instructions if it.word in ("ADD", "COPY", "RUN")]
    assert "--from=sources" in making[-1].text, "what comes after them is made again with every line of source"
    for copy in copies:
        assert "--from=" in copy or copy.split()[0] == "crds", f"{copy}: sources belong into the stage `sources`"


@EVERY_IMAGE
def test_nothing_is_built_from_tests_or_from_what_is_generated(image: Image) -> None:
    for source in read(image).sources(image.target):
        assert "test" not in source
        assert (REPOSITORY / source).exists(), source
    ignored = (REPOSITORY / ".dockerignore").read_text().split()
    generated = {f"packages/asr_contract/src/{package}" for package in ("externalscaler", "streamingstack")}
    assert {"*", "**/tests", "**/__pycache__"} | generated <= set(ignored)


@EVERY_IMAGE
def test_every_package_that_the_lock_file_gives_the_image_from_the_workspace_is_copied(image: Image) -> None:
    lock = tomllib.loads((REPOSITORY / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    (name,) = set(re.findall(r"--package (\S+)", commands(image))) - {"asr-contract"}
    needed, waiting = set(), [name]
    while waiting:
        package = packages[waiting.pop()]
        if "editable" in package["source"] and package["name"] not in needed:
            needed.add(package["name"])
            waiting += [dependency["name"] for dependency in package.get("dependencies", ())]
    folders = {f"{packages[name]['source']['editable']}/src" for name in needed}
    assert folders <= set(read(image).sources(image.target))


@EVERY_IMAGE
def test_the_labels_come_last_so_that_new_ones_rebuild_nothing(image: Image) -> None:
    last = read(image).stage(image.target).instructions[-1]
    assert last.word == "LABEL"
    for name in ("title", "description", "licenses"):
        assert f"org.opencontainers.image.{name}=" in last.text


def test_version_revision_and_source_are_labels_too() -> None:
    arguments = build_arguments(Order(IMAGES[0], "localhost/x:1", {"version": "1.0", "revision": "abc"}))
    assert arguments[arguments.index("--label") + 1] == "org.opencontainers.image.version=1.0"
    assert "org.opencontainers.image.revision=abc" in arguments


@EVERY_IMAGE
def test_nothing_of_the_machine_that_builds_is_in_it(image: Image) -> None:
    text = (REPOSITORY / image.containerfile).read_text()
    assert not re.search(r"(?i)https?_proxy|ssl_cert|index-url|find-links|--trusted-host|/root/|debootstrap", text)


def test_all_images_share_their_first_layers() -> None:
    shared = {
        (stage.base, *(instruction.text for instruction in stage.instructions))
        for image in IMAGES
        for stage in read(image).reached(image.target)
        if stage.name == "base"
    }
    assert len(shared) == 1


def test_the_test_models_lie_on_the_same_base_as_the_images() -> None:
    models = parse_containerfile((REPOSITORY / "e2e/images/models/Containerfile").read_text())
    assert set(models.bases(None)) <= set(read(IMAGES[0]).bases(None))


def test_the_hearing_models_are_those_that_the_recogniser_expects() -> None:
    text = (REPOSITORY / "services/asr/Containerfile").read_text()
    for file in HEARING_FILES:
        assert f"{file.sha256}  {file.path}" in text
        (source,) = file.parts
        assert source.partition("==")[2].partition("/")[2] in text
    wanted = tomllib.loads((REPOSITORY / "services/asr/pyproject.toml").read_text())["dependency-groups"]["hearing"]
    (source,) = {part.partition("//")[2].partition("/")[0] for file in HEARING_FILES for part in file.parts}
    assert wanted == [source]


def test_images_are_chosen_by_name_and_nvidias_only_when_asked_for() -> None:
    assert "asr-nvidia" not in [image.name for image in select([])]
    assert [image.name for image in select(["asr-nvidia", "gateway"])] == ["gateway", "asr-nvidia"]
    with pytest.raises(ValueError, match=r"no image gatewy; there are gateway, "):
        select(["gatewy"])
    assert reference("registry.example.com/speech/", IMAGES[0], "1.0") == "registry.example.com/speech/gateway:1.0"


def test_a_containerfile_is_read_with_its_arguments_continuations_and_stages() -> None:
    read = parse_containerfile(
        "# a comment\nARG BASE=example.com/base:1.2\nFROM ${BASE} AS a\nRUN one \\\n  # between\n  && two\n"
        "FROM a AS b\nCOPY --chmod=755 left right /there/\nFROM example.com/c:3.4\n"
        "COPY --from=b /x /y\nFROM a AS unused\n"
    )
    assert [stage.name for stage in read.stages] == ["a", "b", "2", "unused"]
    assert read.stage("a").all("RUN")[0].text == "one && two"
    assert [stage.name for stage in read.reached("2")] == ["a", "b", "2"]
    assert read.bases("2") == ["example.com/base:1.2", "example.com/c:3.4"]
    assert read.sources("2") == ["left", "right"]
    assert [read.base(stage) for stage in ("a", "b", "2", "unused")] == [
        "example.com/base:1.2",
        "example.com/base:1.2",
        "example.com/c:3.4",
        "example.com/base:1.2",
    ]


def test_build_arguments_replace_a_base_and_may_pin_it_by_digest() -> None:
    text = "ARG BASE=example.com/base:1.2\nARG OTHER=o\nFROM ${BASE} AS a\nFROM a\n"
    read = parse_containerfile(text, {"BASE": "mirror.example.com/base:1.2@sha256:12ab", "UNKNOWN": "x"})
    assert read.bases(None) == ["mirror.example.com/base:1.2@sha256:12ab"]
    assert read.base(None) == "mirror.example.com/base:1.2@sha256:12ab"


@pytest.mark.parametrize("image", select([]), ids=lambda image: image.name)
def test_every_image_that_runs_on_a_processor_lies_on_pythons_base(image: Image) -> None:
    assert read(image).base(image.target).startswith("docker.io/library/python:")


@pytest.mark.parametrize(("text", "says"), [("COPY a b\nFROM x", "line 1: COPY before FROM"), ("", "no FROM")])
def test_what_is_no_containerfile_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_containerfile(text)

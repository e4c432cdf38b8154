"""An image is built anew when something that it is built from changed, and only then."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from imagebuild import work
from imagebuild.catalogue import IMAGES
from imagebuild.fingerprint import fingerprint
from imagebuild.work import Done, Place, Record, Release, make


def written(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    written(tmp_path, {"src/a.py": "a", "src/sub/b.py": "b", "uv.lock": "locked", "other/c.py": "c"})
    return tmp_path


def of(root: Path, *facts: str) -> str:
    return fingerprint(root, ["uv.lock", "src"], facts)


@pytest.mark.parametrize(
    "change", [{"src/a.py": "A"}, {"src/new.py": ""}, {"uv.lock": "other"}, {"src/sub/b.py": "", "src/a.py": "ab"}]
)
def test_a_changed_or_new_source_changes_it(tree: Path, change: dict[str, str]) -> None:
    before = of(tree)
    written(tree, change)
    assert of(tree) != before


@pytest.mark.parametrize(
    "change", [{"other/c.py": "C"}, {"src/tests/test_a.py": ""}, {"src/__pycache__/a.pyc": "x"}, {"src/a.py": "a"}]
)
def test_what_no_image_sees_does_not(tree: Path, change: dict[str, str]) -> None:
    before = of(tree)
    written(tree, change)
    assert of(tree) == before


def test_names_modes_and_facts_count(tree: Path) -> None:
    before = of(tree, "base 1", "x")
    assert of(tree, "base 2", "x") != before
    assert of(tree, "base 1x") != before
    (tree / "src/a.py").chmod(0o755)
    executable = of(tree, "base 1", "x")
    assert executable != before
    (tree / "src/a.py").rename(tree / "src/z.py")
    assert of(tree, "base 1", "x") != executable


RELEASE = Release("localhost/x", "1", "1", "", is_pushed=False)


def once(place: Place, builder: Mock, monkeypatch: pytest.MonkeyPatch, release: Release = RELEASE) -> Done:
    monkeypatch.chdir(Path(__file__).parents[2])
    written(place.root, {"gateway.tar": ""})
    described = Record("localhost/x/gateway:1", "sha256:image", "sha256:d", 1, "", "", (), ())
    monkeypatch.setattr(work, "read_saved", lambda folder: None)
    monkeypatch.setattr(work, "_describe", lambda *_: described)
    place.layers.mkdir(exist_ok=True)
    return make(IMAGES[0], release, builder, place)


def test_an_unchanged_image_is_not_built_again_and_a_changed_base_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = Mock(flags=())
    builder.image_id.return_value, builder.find_id.return_value = "sha256:image", "base"
    builder.find_digest.return_value = "sha256:base"
    place = Place(tmp_path)
    assert once(place, builder, monkeypatch).is_new
    assert not once(place, builder, monkeypatch).is_built
    assert builder.build.call_count == 1
    builder.find_id.return_value = "newer base"
    again = once(place, builder, monkeypatch)
    assert again.is_built
    assert not again.is_new
    assert not once(place, builder, monkeypatch).is_built
    pushed = once(place, builder, monkeypatch, Release("localhost/x", "1", "1", "", is_pushed=True))
    assert pushed.is_built, "what is pushed must be in the builder's store"


def test_an_archive_is_written_anew_where_its_base_has_another_digest_and_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder = Mock(flags=("--build-arg", "PYTHON=example.com/python:3@sha256:pinned"))
    builder.image_id.return_value = "sha256:image"
    for number, digest in enumerate(("sha256:old", "sha256:new")):
        builder.find_id.return_value, builder.find_digest.return_value = f"base {number}", digest
        done = once(Place(tmp_path), builder, monkeypatch)
        assert done.is_new
        assert done.record.bases == {
            "example.com/python:3@sha256:pinned": "sha256:pinned",
            "ghcr.io/astral-sh/uv:0.13.9": digest,
        }

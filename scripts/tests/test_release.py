"""What a release is called and made of, said alike wherever it is said."""

import tomllib
from pathlib import Path

import pytest
from imagebuild.catalogue import IMAGES
from stack_model.release import IMAGE_NAMES, VERSION

ROOT = Path(__file__).parents[2]
_MEMBERS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
PROJECTS = [
    ROOT / "pyproject.toml",
    *sorted(path / "pyproject.toml" for member in _MEMBERS for path in ROOT.glob(member) if path.is_dir()),
]


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.parent.name)
def test_every_project_has_the_releases_version(project: Path) -> None:
    assert tomllib.loads(project.read_text())["project"]["version"] == VERSION


def test_every_image_of_the_release_is_built() -> None:
    assert {image.name for image in IMAGES} == {*IMAGE_NAMES.values(), "operator"}

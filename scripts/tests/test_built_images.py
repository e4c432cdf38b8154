"""The images that `make images` built: what each archive holds. Run by `make images-check`, and by `make test` once it
has built them for the Kubernetes cluster."""

import json
import os
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from imagebuild.catalogue import Image, select
from imagebuild.work import Place, Record, read_record

pytestmark = pytest.mark.images

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamingstack" / "images"
EVERY_IMAGE = pytest.mark.parametrize("image", select([]), ids=lambda image: image.name)


def record_of(image: Image) -> Record:
    record = read_record(Place(CACHE), image)
    assert record, f"no archive of {image.name}; run make images"
    return record


@EVERY_IMAGE
def test_an_image_is_small_unprivileged_labelled_and_holds_nothing_but_what_runs(image: Image) -> None:
    assert record_of(image).faults == ()


@EVERY_IMAGE
def test_an_image_has_a_valid_bill_of_materials_of_its_packages(image: Image) -> None:
    text = Path(record_of(image).bill).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    purls = [component.get("purl", "") for component in json.loads(text)["components"]]
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)
    assert any(purl.startswith("pkg:pypi/pydantic-settings@") for purl in purls)


def test_the_recognisers_bill_names_triton_and_the_hearing_models() -> None:
    (asr,) = select(["asr"])
    names = {component["name"] for component in json.loads(Path(record_of(asr).bill).read_text())["components"]}
    assert {"nvidia-pytriton", "ctranslate2", "silero_vad.onnx", "smart_turn.onnx"} <= names

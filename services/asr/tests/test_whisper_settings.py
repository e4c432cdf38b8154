"""What the environment of Triton makes of Whisper."""

from pathlib import Path

import pytest
from streaming_asr.whisper.settings import Settings, settings_from


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.bin").touch()
    return tmp_path


@pytest.mark.parametrize(("device", "compute_type"), [("cpu", "int8"), ("cuda", "float16")])
def test_numbers_are_as_short_as_the_device_counts_well(folder: Path, device: str, compute_type: str) -> None:
    assert settings_from({"WHISPER_MODEL_DIR": str(folder)}, device).compute_type == compute_type


def test_every_variable_is_heeded(folder: Path) -> None:
    environment = {
        "WHISPER_MODEL_DIR": str(folder),
        "WHISPER_COMPUTE_TYPE": "float32",
        "WHISPER_WORKERS": "3",
        "WHISPER_BEAM": "1",
        "WHISPER_LANGUAGES": "de, fr",
    }
    assert settings_from(environment, "cpu") == Settings(folder, "cpu", "float32", 3, 1, ("de", "fr"))


@pytest.mark.parametrize(("name", "value"), [("WHISPER_WORKERS", "0"), ("WHISPER_BEAM", "wide")])
def test_a_wrong_number_is_named(folder: Path, name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}: must be a whole number from 1"):
        settings_from({"WHISPER_MODEL_DIR": str(folder), name: value}, "cpu")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"WHISPER_MODEL_DIR={tmp_path} holds no model.bin"):
        settings_from({"WHISPER_MODEL_DIR": str(tmp_path)}, "cpu")

"""The small models every recogniser needs beside its engine: voice activity and end of turn."""

from stack_model.api import ModelFile

_PIPECAT = "pypi://pipecat-ai==1.14.0/pipecat/audio"

HEARING_FILES = (
    ModelFile(
        path="silero_vad.onnx",
        parts=[f"{_PIPECAT}/vad/data/silero_vad.onnx"],
        sha256="1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    ),
    ModelFile(
        path="smart_turn.onnx",
        parts=[f"{_PIPECAT}/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx"],
        sha256="2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
    ),
)

"""How a local Triton is started: arguments and environment, and what is missing said clearly."""

import sys
from pathlib import Path

import pytest
from streaming_asr.triton import launch
from streaming_asr.triton.launch import TritonFiles, TritonMissingError, TritonPlan, prepare_backends, triton_command

FILES = TritonFiles(
    server=Path("/opt/triton"), libraries=Path("/opt/libs"), external=Path("/opt/external"), stub=Path("/opt/stub")
)
PLAN = TritonPlan(
    model_repository=Path("/models"),
    state=Path("/state"),
    http_port=8010,
    grpc_port=8011,
    metrics_port=8012,
    environment={"WHISPER_MODEL_DIR": "/weights"},
)


def test_the_server_listens_on_loopback_at_its_three_ports_and_loads_its_models_only() -> None:
    argv = triton_command(PLAN, FILES, Path("/state/backends"), {}).argv
    assert argv[0] == "/opt/triton/bin/tritonserver"
    assert {
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
        "--http-port=8010",
        "--grpc-port=8011",
        "--metrics-port=8012",
        "--model-repository=/models",
        "--backend-directory=/state/backends",
        "--model-control-mode=explicit",
    } <= set(argv)
    assert [part for part in argv if part.startswith("--load-model")] == [
        "--load-model=whisper",
        "--load-model=smart_turn",
    ]


def test_the_models_find_this_python_and_their_settings() -> None:
    inherited = {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/elsewhere", "HOME": "/home/someone"}
    environment = triton_command(PLAN, FILES, Path("/state/backends"), inherited).environment
    assert environment["PATH"] == f"{Path(sys.prefix) / 'bin'}:/usr/bin"
    paths = environment["LD_LIBRARY_PATH"].split(":")
    assert paths[0] == "/opt/libs"
    assert {"/opt/external", "/elsewhere"} <= set(paths)
    assert environment["WHISPER_MODEL_DIR"] == "/weights"
    assert environment["HOME"] == "/home/someone"


def test_the_backend_folder_holds_the_backend_and_this_pythons_stub_and_is_made_anew_each_time(tmp_path: Path) -> None:
    server = tmp_path / "server"
    backend = server / "backends" / "python"
    backend.mkdir(parents=True)
    (backend / "libtriton_python.so").write_text("backend")
    stub = tmp_path / "triton_python_backend_stub"
    stub.write_text("stub")
    files = TritonFiles(server, tmp_path, tmp_path, stub)
    for _ in range(2):
        folder = prepare_backends(files, tmp_path / "state")
        assert (folder / "python" / "libtriton_python.so").read_text() == "backend"
        assert (folder / "python" / "triton_python_backend_stub").read_text() == "stub"


def test_a_machine_without_triton_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    with pytest.raises(TritonMissingError, match=r"streaming-asr\[triton-cpu\]"):
        launch.find_triton()

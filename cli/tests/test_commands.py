"""`streamingstack models`, `render` and what every command says about a wrong stack."""

import re
from pathlib import Path

import pytest
import yaml
from streamingstack_cli.main import app
from typer.testing import CliRunner, Result

from .conftest import EXAMPLES

ALL = str(EXAMPLES / "all-models.yaml")
FILE = f"{{path: model.bin, parts: ['file:///m'], sha256: {'a' * 64}}}"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMINGSTACK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "command",
    [[], ["models", "pull"], ["models", "list"], ["license", "issue"]]
    + [[name] for name in ("up", "run", "transcribe", "render", "bench", "status", "doctor")],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.stdout


def test_a_model_from_a_folder_is_pulled_and_listed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.bin").write_bytes(b"weights")
    pulled = run("models", "pull", f"file://{tmp_path}/model")
    assert pulled.exit_code == 0
    folder = Path(pulled.stdout.strip())
    assert (folder / "model.bin").read_bytes() == b"weights"
    listed = run("models", "list")
    assert str(folder) in listed.stdout


def test_an_empty_cache_says_where_it_is(tmp_path: Path) -> None:
    assert run("models", "list").stdout == f"no models in {tmp_path / 'cache'}\n"


@pytest.mark.parametrize(
    ("source", "status", "says"),
    [
        ("ftp://host/model", 1, "unknown scheme 'ftp'"),
        ("file:///nowhere", 1, "no such folder"),
        ("missing.yaml", 2, "missing.yaml"),
    ],
)
def test_a_source_that_cannot_be_pulled_is_one_line(source: str, status: int, says: str) -> None:
    result = run("models", "pull", source)
    assert result.exit_code == status
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_render_local_shows_every_process_and_touches_nothing(tmp_path: Path) -> None:
    result = run("render", ALL, "--target", "local", "--port-offset", "100")
    document = yaml.safe_load(result.stdout)
    assert [process["name"] for process in document["processes"]][-1] == "gateway"
    assert len(document["processes"]) == 9
    assert document["processes"][-1]["environment"]["AAI_WSS_PORT"] == "8180"
    assert not list(tmp_path.iterdir())


def test_render_nginx_routes_to_the_recognisers_of_the_stack() -> None:
    text = run("render", ALL, "--target", "nginx", "--port-offset", "100").stdout
    assert {port for port in ("50151", "50152", "50153") if f"127.0.0.1:{port}" in text} == {"50151", "50152", "50153"}
    assert re.search(r"listen\s+127\.0\.0\.1:50150", text)


def test_render_gateway_lists_the_served_models() -> None:
    assert '"speech_model": "universal-3-5-pro"' in run("render", ALL, "--target", "gateway").stdout


def test_render_writes_a_compose_project(tmp_path: Path) -> None:
    result = run("render", ALL, "--target", "compose", "-o", str(tmp_path / "made/here"))
    assert result.exit_code == 0, result.stderr
    assert "docker compose --project-directory" in result.stdout
    written = (tmp_path / "made/here/compose.yaml").read_text()
    assert yaml.safe_load(written)["name"] == "all-models"
    assert "GATEWAY_PORT" in (tmp_path / "made/here/.env.example").read_text()
    assert run("render", ALL, "--target", "compose").stdout == written


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--output", "x"], "--output is for --target compose"),
        (["--target", "compose", "--output", "taken/x"], "choose another --output"),
    ],
)
def test_render_into_a_folder_says_what_is_wrong(tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "taken").write_text("a file")
    result = run("render", ALL, *arguments)
    assert result.exit_code in (1, 2)
    assert says in result.stderr


def test_render_for_compose_refuses_what_compose_cannot_do(tmp_path: Path) -> None:
    text = (EXAMPLES / "minimal.yaml").read_text()
    file = tmp_path / "stack.yaml"
    file.write_text(text.replace("      source:", "      gpu: {resourceName: amd.com/gpu}\n      source:"))
    result = run("render", str(file), "--target", "compose")
    assert result.exit_code == 2
    assert "NVIDIA cards only" in result.stderr


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("kind: StreamingStack", "kind: Stack"), "kind:"),
        (("name: en-default", "name: En_Default"), "spec.models.0.name"),
        (("speechModels: [universal-streaming-english]", "speechModels: [my-model]"), "begin every name"),
        (("      source:", "      engine: Magic\n      source:"), "spec.models.0.engine"),
        (("      source:", f"      files: [{FILE}]\n      source:"), "set source or files, not both"),
    ],
)
@pytest.mark.parametrize("command", ["up", "render", "run"])
def test_a_wrong_stack_names_file_and_field(tmp_path: Path, command: str, change: tuple[str, str], says: str) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text((EXAMPLES / "minimal.yaml").read_text().replace(*change))
    audio = ["--audio", str(next((EXAMPLES / "audio").glob("*.wav")))] if command == "run" else []
    result = run(command, str(file), *audio)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"streamingstack: {file}: ")
    assert says in result.stderr
    assert not (tmp_path / ".state").exists()


def test_ports_out_of_range_are_refused() -> None:
    result = run("render", ALL, "--target", "local", "--port-offset", "60000")
    assert result.exit_code == 2
    assert "outside 1024-65535" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tls-cert", "cert.pem"], "--tls-cert and --tls-key: give both, or neither"),
        (["--tls-key", "key.pem"], "--tls-cert and --tls-key: give both, or neither"),
        (["--tls-cert", "nowhere.pem", "--tls-key", "key.pem"], "--tls-cert nowhere.pem: no such file"),
    ],
)
def test_half_of_tls_is_refused(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["up", *arguments])
    assert result.exit_code == 2
    assert said in result.output

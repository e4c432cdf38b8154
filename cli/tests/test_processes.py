"""Which processes a stack becomes, and what each is told."""

import configparser
import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from stack_model.api import load_stack, read_stack
from stack_model.catalogue import parse_models
from streamingstack_cli.inherited import inherited
from streamingstack_cli.layout import TlsFiles
from streamingstack_cli.processes import Probe, Process, child_file, local_processes, reachable
from streamingstack_cli.supervisor_config import render_supervisor

from .conftest import EXAMPLES, layout_of

STATE = Path("/state")
OF_NOBODY = {"PATH": "/bin", "LD_LIBRARY_PATH": "/lib", "WHISPER_DEVICE": "gpu", "https_proxy": "http://proxy:3128"}


def processes(example: str, offset: int = 0) -> dict[str, Process]:
    file = EXAMPLES / example
    return {process.name: process for process in local_processes(load_stack(file), layout_of(file, STATE, offset))}


@pytest.mark.parametrize(
    ("example", "names"),
    [
        ("minimal.yaml", ["triton-en-default", "recognizer-en-default"]),
        (
            "all-models.yaml",
            [
                f"{part}-{model}"
                for part in ("triton", "recognizer")
                for model in ("en-default", "ml-default", "u3-pro")
            ],
        ),
    ],
)
def test_each_model_is_one_triton_and_one_recogniser_and_the_gateway_is_last(example: str, names: list[str]) -> None:
    assert list(processes(example)) == ["license-proxy", *names, "load-balancer", "gateway"]


def test_the_sync_api_runs_where_it_is_wanted_and_knows_the_gateways_models_and_keys() -> None:
    found = processes("sync.yaml", 100)
    assert list(found)[-2:] == ["sync-api", "gateway"]
    ours, gateway = found["sync-api"], found["gateway"]
    shared = ("AAI_ASR_ENDPOINT", "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT", "GATEWAY_MODELS", "API_KEYS_FILE")
    assert {name: ours.environment[name] for name in shared} == {name: gateway.environment[name] for name in shared}
    assert (ours.environment["HTTP_PORT"], ours.environment["METRICS_PORT"]) == ("8183", "9189")
    assert ours.environment["SPOOL_DIR"] != gateway.environment["SPOOL_DIR"]
    assert ours.readiness.target == "http://127.0.0.1:8183/readyz"
    assert ours.startup_seconds >= max(one.startup_seconds for one in found.values() if "recognizer" in one.name)


def test_only_triton_is_started_again() -> None:
    restarting = [name for name, process in processes("all-models.yaml").items() if process.restarts]
    assert restarting == ["triton-en-default", "triton-ml-default", "triton-u3-pro"]


@pytest.mark.parametrize(
    ("process", "environment"),
    [
        (
            "recognizer-en-default",
            {"ROUTE": "en-default", "ASR_PORT": "50051", "METRICS_PORT": "9091", "REPLACING": "false"},
        ),
        ("recognizer-en-default", {"TRITON_URL": "127.0.0.1:8011", "LANGUAGES": "", "MAX_OPEN_STREAMS": "28"}),
        ("recognizer-en-default", {"VAD_MODEL": "/cache/hearing/silero_vad.onnx", "HOST": "127.0.0.1"}),
        (
            "recognizer-ml-default",
            {"ASR_PORT": "50052", "TRITON_URL": "127.0.0.1:8021", "LANGUAGES": "en,es,fr,de,it,pt"},
        ),
        (
            "recognizer-u3-pro",
            {"ROUTE": "u3-pro", "REPLACING": "true", "TRITON_URL": "127.0.0.1:8031"},
        ),
        ("triton-u3-pro", {"WHISPER_MODEL_DIR": "/cache/u3-pro", "SMART_TURN_MODEL": "/cache/hearing/smart_turn.onnx"}),
        ("license-proxy", {"SERVER_PORT": "8082", "STATE_DIR": "/state/license-proxy"}),
        ("license-proxy", {"LICENSE_FILE_PATH": "/state/license.jwt", "LICENSE_PUBLIC_KEYS_PATH": "/state/keys.json"}),
        (
            "load-balancer",
            {"GRPC_PORT": "50050", "HEALTH_PORT": "8081", "ROUTES_FILE": "/state/load-balancer/routes.yaml"},
        ),
        ("gateway", {"AAI_WSS_PORT": "8080", "METRICS_PORT": "9090", "AAI_ASR_ENDPOINT": "127.0.0.1:50050"}),
        ("gateway", {"AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": "http://127.0.0.1:8082"}),
        ("gateway", {"API_KEYS_FILE": "/state/gateway/api-keys", "MAX_SESSIONS": "48"}),
        ("gateway", {"TOKEN_SECRET_FILE": "/state/gateway/token-secret"}),
    ],
)
def test_what_each_process_is_told(process: str, environment: dict[str, str]) -> None:
    told = processes("all-models.yaml")[process].environment
    assert {name: told[name] for name in environment} == environment


def test_what_the_gateway_is_told_is_in_its_file_whatever_the_callers_shell_says() -> None:
    file = EXAMPLES / "minimal.yaml"
    shell = {**OF_NOBODY, "AAI_WSS_PORT": "8080", "API_KEYS_FILE": "/elsewhere", "SPOOL_DIR": "/elsewhere"}
    layout = replace(layout_of(file, STATE), inherited=inherited(shell))
    gateway = next(process for process in local_processes(load_stack(file), layout) if process.name == "gateway")
    told = child_file(gateway, layout)["environment"]
    assert isinstance(told, dict)
    assert told["AAI_WSS_PORT"] == "8080"
    assert "/elsewhere" not in gateway.environment.values()
    assert told.items() <= gateway.environment.items()


def test_of_the_callers_environment_all_but_settings_is_inherited() -> None:
    kept = {**OF_NOBODY, "NGINX": "/opt/nginx", "USE_STRUCTURED_LOGGING": "false", "AAI_LOG_LEVEL": "DEBUG"}
    settings = ("HOST", "SERVER_PORT", "USAGE_TRACKING_API_KEY", "MAX_OPEN_STREAMS", "WORKERS", "state_dir")
    assert inherited({**kept, **dict.fromkeys(settings, "x")}) == kept


def test_with_a_certificate_the_gateway_serves_wss_and_is_asked_over_https() -> None:
    file = EXAMPLES / "minimal.yaml"
    layout = replace(layout_of(file, STATE), tls=TlsFiles(Path("/cert.pem"), Path("/key.pem")))
    gateway = local_processes(load_stack(file), layout)[-1]
    told = gateway.environment["TLS_CERT_FILE"], gateway.environment["TLS_KEY_FILE"]
    assert told == ("/cert.pem", "/key.pem")
    assert gateway.readiness.target.startswith("https://")


@pytest.mark.parametrize(("auth", "told"), [({}, None), ({"singleUseTokens": True}, "true")])
def test_the_gateway_is_told_where_a_token_opens_one_session(auth: dict[str, bool], told: str | None) -> None:
    file = EXAMPLES / "minimal.yaml"
    document = yaml.safe_load(file.read_text())
    document["spec"]["gateway"] = {**document["spec"].get("gateway", {}), "auth": auth}
    gateway = local_processes(read_stack(document), layout_of(file, STATE))[-1]
    assert gateway.environment.get("SINGLE_USE_TOKENS") == told
    assert inherited({"SINGLE_USE_TOKENS": "true"}) == {}, "the caller's shell has no say in it"


def test_the_gateway_serves_every_model_of_the_stack() -> None:
    models = parse_models(processes("all-models.yaml")["gateway"].environment["GATEWAY_MODELS"])
    assert [(model.speech_model, model.route) for model in models] == [
        ("universal-streaming-english", "en-default"),
        ("universal-streaming-multilingual", "ml-default"),
        ("universal-3-5-pro", "u3-pro"),
    ]


def test_readiness_is_asked_where_each_part_serves() -> None:
    asked = {name: process.readiness for name, process in processes("minimal.yaml", offset=10).items()}
    assert asked["triton-en-default"].target == "http://127.0.0.1:8020/v2/health/ready"
    assert (asked["recognizer-en-default"].probe, asked["recognizer-en-default"].target) == (
        Probe.GRPC,
        "127.0.0.1:50061",
    )
    assert asked["load-balancer"].target == "http://127.0.0.1:8091/nginx_health"
    assert asked["gateway"].target == "http://127.0.0.1:8090/readyz"


def test_loopback_never_goes_through_a_proxy() -> None:
    assert processes("minimal.yaml")["gateway"].environment["NO_PROXY"].endswith("127.0.0.1,localhost")


def test_no_secret_of_the_callers_environment_is_written_down() -> None:
    layout = layout_of(EXAMPLES / "minimal.yaml", STATE)
    for process in local_processes(load_stack(EXAMPLES / "minimal.yaml"), layout):
        assert process.environment["AWS_SECRET_ACCESS_KEY"] == "secret"
        written = json.dumps(child_file(process, layout)).replace("/state/gateway/token-secret", "a file")
        assert "secret" not in written.replace("TOKEN_SECRET_FILE", "its name")


def test_supervisord_stops_the_gateway_first_and_mends_triton_only() -> None:
    file = EXAMPLES / "universal.yaml"
    layout = layout_of(file, Path("/state of 100%"))
    text = render_supervisor(local_processes(load_stack(file), layout), layout, Path("/run/s.sock"), root=True)
    config = configparser.ConfigParser()
    config.read_string(text)
    programs = {name: config[name] for name in config.sections() if name.startswith("program:")}
    last = max(programs, key=lambda name: int(programs[name]["priority"]))
    assert last == "program:gateway"
    assert {name for name, program in programs.items() if program["autorestart"] == "true"} == {
        "program:triton-en-default",
        "program:triton-ml-default",
    }
    assert programs[last]["stdout_logfile"] == "/state of 100%/logs/gateway.log"
    assert config["supervisord"]["user"] == "root"


@pytest.mark.parametrize(
    ("host", "address"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("host.example", "host.example")]
)
def test_where_a_gateway_is_reached(host: str, address: str) -> None:
    assert reachable(host) == address


def test_a_socket_path_too_long_for_the_system_lies_elsewhere() -> None:
    near = layout_of(EXAMPLES / "minimal.yaml", Path("/short")).state
    deep = layout_of(EXAMPLES / "minimal.yaml", Path("/" + "deep" * 30)).state
    assert near.socket(Path("/tmp")) == Path("/short/run/supervisor.sock")
    assert len(bytes(deep.socket(Path("/tmp")))) < 100

"""A stack as a Compose project: judged by the official schema, then by what has to stand in it."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from stack_model.api import StreamingStack, load_stack, read_stack
from stack_model.catalogue import parse_models
from stack_model.compose import ComposeError, render_compose
from stack_model.nginx_routes import parse_routes
from stack_model.stored_models import parse_stored_models

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
OURS = [path for path in EXAMPLES if path.stem != "vendor-images"]
Document = dict[str, Any]


def example(name: str) -> StreamingStack:
    return load_stack(EXAMPLES[0].with_name(f"{name}.yaml"))


def composed(stack: StreamingStack) -> Document:
    document: Document = yaml.safe_load(render_compose(stack).compose_yaml)
    return document


def stack_of(model: Document | None = None, **spec: Any) -> StreamingStack:
    english = {"name": "en", "speechModels": ["universal-streaming-english"], "source": "hf://owner/model@v1"}
    return read_stack(
        {
            "apiVersion": "streamingstack.dev/v1alpha1",
            "kind": "StreamingStack",
            "metadata": {"name": "demo"},
            "spec": {"models": [{**english, **(model or {})}], **spec},
        }
    )


@pytest.fixture(scope="module")
def schema() -> Document:
    vendored = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    found: Document = json.loads(vendored.read_text())
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_valid_compose_file(schema: Document, path: Path) -> None:
    jsonschema.validate(composed(load_stack(path)), schema)


def test_the_schema_would_tell(schema: Document) -> None:
    wrong = composed(example("minimal"))
    wrong["services"]["streaming-api"]["helthcheck"] = {}
    with pytest.raises(jsonschema.ValidationError, match="helthcheck"):
        jsonschema.validate(wrong, schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_everything_that_a_service_names_is_there(path: Path) -> None:
    document = composed(load_stack(path))
    for name, service in document["services"].items():
        named = {
            "services": set(service.get("depends_on", {})),
            "networks": set(service["networks"]),
            "secrets": set(service.get("secrets", [])),
            "configs": {config["source"] for config in service.get("configs", [])},
            "volumes": {
                volume.split(":")[0]
                for volume in service.get("volumes", [])
                if isinstance(volume, str) and volume[0] != "/"
            },
        }
        for section, names in named.items():
            assert names <= set(document.get(section, {})), f"{name}: {section}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_variable_has_its_line_in_env_example_and_no_other_has(path: Path) -> None:
    project = render_compose(load_stack(path))
    unescaped = project.compose_yaml.replace("$$", "")
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", unescaped))
    passed_on = {
        name
        for service in yaml.safe_load(project.compose_yaml)["services"].values()
        for name, value in service.get("environment", {}).items()
        if value is None
    }
    lines = re.findall(r"^#?([A-Z0-9_]+)=", project.env_example, re.MULTILINE)
    assert sorted(lines) == sorted(used | passed_on)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_service_that_stays_tells_its_health(path: Path) -> None:
    for name, service in composed(load_stack(path))["services"].items():
        assert ("healthcheck" in service) == (not name.startswith("fetch-")), name


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.stem)
def test_every_service_of_ours_is_confined(path: Path) -> None:
    for service in composed(load_stack(path))["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_ports_are_those_of_the_pods_and_of_a_local_run() -> None:
    services = composed(example("all-models"))["services"]
    assert services["streaming-api"]["environment"]["AAI_WSS_PORT"] == "8080"
    assert services["streaming-api"]["environment"]["AAI_ASR_ENDPOINT"] == "streaming-asr-lb:50051"
    assert services["license-and-usage-proxy"]["environment"]["SERVER_PORT"] == "8080"
    assert services["streaming-asr-lb"]["environment"]["GRPC_PORT"] == "50051"
    for model in ("en-default", "ml-default", "u3-pro"):
        settings = services[f"streaming-asr-{model}"]["environment"]
        assert (settings["ASR_PORT"], settings["METRICS_PORT"]) == ("50051", "9090")
        assert settings["TRITON_URL"] == f"triton-{model}:8001"
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {
        "streaming-api": [
            "${GATEWAY_ADDRESS:-0.0.0.0}:${GATEWAY_PORT:-8080}:8080",
            "127.0.0.1:${GATEWAY_METRICS_PORT:-9090}:9090",
        ],
        "license-and-usage-proxy": ["127.0.0.1:${LICENSE_PROXY_PORT:-8082}:8080"],
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_only_the_licence_proxy_and_the_model_store_have_a_way_out(path: Path) -> None:
    document = composed(load_stack(path))
    inside = {name for name, network in document["networks"].items() if network and network.get("internal")}
    leaving = {name for name, service in document["services"].items() if "outside" in service["networks"]}
    assert leaving <= {"license-and-usage-proxy", "model-store"}
    for name, service in document["services"].items():
        if name not in (*leaving, "streaming-api", "sync-api"):
            assert set(service["networks"]) <= inside, name
    masquerade = document["networks"]["clients"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"]
    assert masquerade == "false"


def test_each_model_with_a_gpu_reserves_cards_of_its_own() -> None:
    models = [
        {
            "name": name,
            "speechModels": [f"universal-streaming-{name}"],
            "source": "hf://o/m@v1",
            "gpu": {"count": count},
        }
        for name, count in (("a", 2), ("b", 1))
    ]
    services = composed(stack_of(models=models))["services"]
    reserved = {
        name: service["deploy"]["resources"]["reservations"]["devices"]
        for name, service in services.items()
        if "reservations" in service.get("deploy", {}).get("resources", {})
    }
    assert reserved == {
        "triton-a": [{"driver": "nvidia", "device_ids": ["${GPU_A:-0}", "${GPU_A_1:-1}"], "capabilities": ["gpu"]}],
        "triton-b": [{"driver": "nvidia", "device_ids": ["${GPU_B:-2}"], "capabilities": ["gpu"]}],
    }
    assert "/asr-nvidia:" in services["triton-a"]["image"]
    assert "/asr-nvidia:" in services["streaming-asr-a"]["image"]


def test_a_card_that_compose_cannot_reserve_is_refused_with_the_remedy() -> None:
    with pytest.raises(ComposeError, match=r"spec\.models: en: .*NVIDIA.*amd\.com/gpu"):
        render_compose(stack_of({"gpu": {"resourceName": "amd.com/gpu"}}))


def test_the_files_inside_are_read_back_by_the_parts_they_are_for() -> None:
    stack = example("all-models")
    document = composed(stack)
    models = document["services"]["streaming-api"]["environment"]["GATEWAY_MODELS"]
    assert [model.route for model in parse_models(models)] == ["en-default", "ml-default", "u3-pro"]
    routes = parse_routes(document["configs"]["routes"]["content"], "routes").routes
    assert [route.backends for route in routes] == [
        (f"streaming-asr-{model.name}:50051",) for model in stack.spec.models
    ]
    stored = parse_stored_models(document["configs"]["models"]["content"])
    expected = [
        document["services"][f"fetch-{model.name}"]["command"][
            document["services"][f"fetch-{model.name}"]["command"].index("--expect") + 1
        ]
        for model in stored
    ]
    assert [model.identity for model in stored] == expected


SOURCES: dict[str, tuple[str, Any, Document]] = {
    "pvc://speech/english": ("/models/en/english", "speech:/models/en:ro", {"speech": {"external": True}}),
    "pvc://speech": ("/models/en", "speech:/models/en:ro", {"speech": {"external": True}}),
    "image://registry.example.com:5000/en:1/model": (
        "/models/en/model",
        {"type": "image", "source": "registry.example.com:5000/en:1", "target": "/models/en"},
        {},
    ),
    "hf://owner/model@v1": ("/models/en", "model-en:/models:ro", {"model-en": None}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_model_comes_from_where_its_source_says(source: str) -> None:
    folder, mount, volumes = SOURCES[source]
    document = composed(stack_of({"source": source}))
    triton = document["services"]["triton-en"]
    assert triton["environment"]["WHISPER_MODEL_DIR"] == folder
    assert triton["volumes"] == [mount]
    assert {name: document["volumes"].get(name, "none") for name in volumes} == volumes
    stored = source.startswith("hf://")
    assert ("model-store" in document["services"]) == ("fetch-en" in document["services"]) == stored


def test_a_file_of_this_machine_is_mounted_for_the_store_and_nothing_beside_it() -> None:
    store = composed(stack_of({"source": "file:///data/english"}))["services"]["model-store"]
    assert "/data/english:/data/english:ro" in store["volumes"]
    assert store["environment"]["FILE_SOURCES"] == "/data/english"


def test_credentials_come_from_the_environment_and_only_where_a_source_needs_them() -> None:
    def passed_on(source: str) -> set[str]:
        settings = composed(stack_of({"source": source}))["services"]["model-store"]["environment"]
        return {name for name, value in settings.items() if value is None}

    assert passed_on("hf://owner/model@v1") == {"HF_TOKEN"}
    assert passed_on("s3://bucket/model") >= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert passed_on("pypi://models==1/en") == set()


def test_the_way_out_goes_through_the_proxy_and_trusts_the_bundle() -> None:
    isolation = {"proxyUrl": "http://proxy.example.com:3128", "caBundleConfigMap": "company"}
    document = composed(stack_of(networkIsolation=isolation))
    for name in ("license-and-usage-proxy", "model-store"):
        settings = document["services"][name]["environment"]
        assert settings["HTTPS_PROXY"] == "http://proxy.example.com:3128"
        assert settings["EXTRA_CA_FILE"] == "/etc/streaming-stack/ca.crt"
    assert document["configs"]["ca"] == {"file": "${CA_FILE:-./ca.crt}"}
    assert "HTTPS_PROXY" not in document["services"]["streaming-api"]["environment"]


def test_the_vendors_licence_proxy_goes_the_same_way_out() -> None:
    stack = example("vendor-images")
    walls = {"proxy_url": "http://proxy.example.com:3128", "ca_bundle_config_map": "company"}
    isolation = stack.spec.network_isolation.model_copy(update=walls)
    spec = stack.spec.model_copy(update={"network_isolation": isolation})
    services = composed(stack.model_copy(update={"spec": spec}))["services"]
    told = services["license-and-usage-proxy"]["environment"]
    assert told["HTTP_PROXY"] == told["HTTPS_PROXY"] == "http://proxy.example.com:3128"
    assert told["EXTRA_CA_FILE"] == "/etc/streaming-stack/ca.crt"
    hearing = [name for name in services if name.startswith("streaming-")]
    assert not any("HTTPS_PROXY" in services[name].get("environment", {}) for name in hearing)


def test_any_value_of_the_stack_reaches_the_container_as_it_is() -> None:
    env = [{"name": "GREETING", "value": "costs $5 and ${HOME}"}, {"name": "MAX_SESSIONS", "value": "7"}]
    settings = composed(stack_of(gateway={"pods": {"env": env}}))["services"]["streaming-api"]["environment"]
    assert settings["GREETING"] == "costs $$5 and $${HOME}"
    assert settings["MAX_SESSIONS"] == "7"


def test_without_keys_none_are_mounted() -> None:
    document = composed(stack_of(gateway={"auth": {"mode": "AnyNonEmpty"}}))
    assert "API_KEYS_FILE" not in document["services"]["streaming-api"]["environment"]
    assert "api-keys" not in document["secrets"]
    assert document["secrets"]["token-secret"] == {"file": "${TOKEN_SECRET_FILE:-./token-secret}"}


@pytest.mark.parametrize(("auth", "told"), [({}, None), ({"singleUseTokens": True}, "true")])
def test_the_gateway_is_told_where_a_token_opens_one_session(auth: dict[str, Any], told: str | None) -> None:
    services = composed(stack_of(gateway={"auth": auth}))["services"]
    assert services["streaming-api"]["environment"].get("SINGLE_USE_TOKENS") == told


def test_the_vendors_images_get_the_vendors_names() -> None:
    services = composed(example("vendor-images"))["services"]
    assert set(services) == {
        "streaming-api",
        "license-and-usage-proxy",
        "streaming-asr-lb",
        *(f"streaming-asr-{model}" for model in ("en-default", "ml-default", "u3-pro")),
    }
    assert services["streaming-api"]["environment"] == {
        "AAI_WSS_PORT": "8080",
        "AAI_LOG_LEVEL": "INFO",
        "AAI_USE_STRUCTURED_LOGGING": "True",
        "AAI_ASR_ENDPOINT": "streaming-asr-lb:50051",
        "AAI_USE_SECURE_CHANNEL_TO_ASR_SERVICE": "False",
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": "http://license-and-usage-proxy:8080",
    }
    proxy = services["license-and-usage-proxy"]["environment"]
    assert {
        "HTTP_PORT",
        "LICENSE_FILE_PATH",
        "USAGE_TRACKING_API_KEY",
        "LOGGING_LEVEL",
        "USE_STRUCTURED_LOGGING",
    } == set(proxy)
    recogniser = services["streaming-asr-u3-pro"]
    assert recogniser["environment"]["SERVER_PORT"] == "50051"
    assert recogniser["environment"]["MAX_OPEN_STREAMS"] == "40"
    (device,) = recogniser["deploy"]["resources"]["reservations"]["devices"]
    assert device["device_ids"] == ["${GPU_U3_PRO:-2}"]


def test_the_sync_api_stands_beside_the_gateway_with_its_keys_and_models(schema: Document) -> None:
    document = composed(stack_of(syncApi={"enabled": True}))
    jsonschema.validate(document, schema)
    ours, gateway = (document["services"][name] for name in ("sync-api", "streaming-api"))
    shared = ("AAI_ASR_ENDPOINT", "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT", "GATEWAY_MODELS", "API_KEYS_FILE")
    assert {name: ours["environment"][name] for name in shared} == {
        name: gateway["environment"][name] for name in shared
    }
    assert (ours["networks"], ours["secrets"]) == (gateway["networks"], ["api-keys"])
    assert ours["ports"] == ["${GATEWAY_ADDRESS:-0.0.0.0}:${SYNC_API_PORT:-8083}:8080"]
    assert ours["volumes"] != gateway["volumes"], "usage of two processes is two spools"
    assert "sync-api" not in composed(stack_of())["services"]
    open_ = composed(stack_of(syncApi={"enabled": True}, gateway={"auth": {"mode": "AnyNonEmpty"}}))
    assert "secrets" not in open_["services"]["sync-api"]

"""The vendor's images, under the names of variables, ports and health paths of its release 1.0.0."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from operator_factories import containers, environment, inputs, manifests, model, pod_of, stack
from stack_model.api import StreamingStack, read_stack
from streaming_operator.children.autoscaling import autoscaling
from streaming_operator.children.network_policy import network_policies
from streaming_operator.children.vendor import workloads

ROOT = Path(__file__).parents[2]
EXAMPLE = read_stack(yaml.safe_load((ROOT / "examples" / "vendor-images.yaml").read_text()))
PAGE = (ROOT / "docs" / "images.md").read_text().partition("## The vendor's images\n")[2].partition("\n## ")[0]
IMAGES: dict[str, Any] = {
    "flavour": "Vendor",
    "pullSecrets": ["vendor"],
    "overrides": {
        "gateway": "vendor.example/self-hosted-streaming-api:release-v1.0.0",
        "licenseProxy": "vendor.example/self-hosted-streaming-license-and-usage-proxy:release-v1.0.0",
        "loadBalancer": "registry.example/load-balancer:1.0.0",
    },
}
ENGLISH: dict[str, Any] = {
    "name": "en-default",
    "speechModels": ["universal-streaming-english"],
    "image": "vendor.example/self-hosted-streaming-asr-english:release-v0.6.0",
    "gpu": {"count": 1},
    "streams": {"targetPerPod": 20, "maxPerPod": 28},
    "startupSeconds": 300,
}


def vendored(**spec: Any) -> StreamingStack:
    return stack(**{"images": IMAGES, "models": [ENGLISH], **spec})


def made(given: StreamingStack | None = None, **facts: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return manifests(workloads(given or vendored(), inputs(**facts)))


def test_the_gateway_is_configured_by_the_vendors_names() -> None:
    container = containers(pod_of(made()["Deployment", "demo-gateway"]))["gateway"]
    assert container["image"] == "vendor.example/self-hosted-streaming-api:release-v1.0.0"
    assert environment(container) == {
        "AAI_WSS_PORT": "8080",
        "AAI_LOG_LEVEL": "INFO",
        "AAI_USE_STRUCTURED_LOGGING": "True",
        "AAI_ASR_ENDPOINT": "demo-lb.speech.svc.cluster.local:50051",
        "AAI_USE_SECURE_CHANNEL_TO_ASR_SERVICE": "False",
        "AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT": "http://demo-license-proxy.speech.svc.cluster.local:8080",
    }
    assert container["readinessProbe"]["httpGet"]["path"] == "/v3/ws/health"


def test_a_recogniser_is_one_container_with_the_card() -> None:
    pod = pod_of(made()["Deployment", "demo-asr-en-default"])
    assert list(containers(pod)) == ["recognizer"]
    container = containers(pod)["recognizer"]
    assert environment(container) == {
        "SERVER_PORT": "50051",
        "LOGGING_LEVEL": "INFO",
        "USE_STRUCTURED_LOGGING": "True",
        "MAX_OPEN_STREAMS": "28",
    }
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["cpu"] == "4"
    assert container["readinessProbe"]["grpc"] == {"port": 50051}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300


def test_the_licence_proxy_reads_the_licence_where_it_is_told() -> None:
    given = vendored(licenseProxy={"usage": {"endpoint": "https://u.example", "apiKeySecretName": "usage"}})
    stateful_set = made(given)["StatefulSet", "demo-license-proxy"]
    container = containers(pod_of(stateful_set))["license-proxy"]
    assert environment(container) == {
        "HTTP_PORT": "8080",
        "LOGGING_LEVEL": "INFO",
        "USE_STRUCTURED_LOGGING": "True",
        "LICENSE_FILE_PATH": "/var/aai/license.jwt",
        "USAGE_TRACKING_API_KEY": None,
    }
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"


def test_the_licence_proxy_is_told_the_one_way_out_that_the_policy_leaves_it() -> None:
    isolation = {"proxyUrl": "http://proxy.example:3128", "caBundleConfigMap": "roots"}
    usage = {"endpoint": "https://usage.example", "apiKeySecretName": "usage"}
    given = vendored(networkIsolation=isolation, licenseProxy={"usage": usage})
    policies = {child.name: child.manifest()["spec"] for child in network_policies(given, inputs())}
    assert policies["demo-license-proxy"]["egress"][-1]["ports"] == [{"port": 3128, "protocol": "TCP"}]
    pod = pod_of(made(given)["StatefulSet", "demo-license-proxy"])
    container = containers(pod)["license-proxy"]
    told = environment(container)
    assert told["HTTP_PROXY"] == told["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert ".svc" in str(told["NO_PROXY"])
    folder = str(told["EXTRA_CA_FILE"]).rpartition("/")[0]
    (mounted,) = [one for one in container["volumeMounts"] if one["mountPath"] == folder]
    assert next(one for one in pod["volumes"] if one["name"] == mounted["name"])["configMap"]["name"] == "roots"


@pytest.mark.parametrize("name", ["demo-gateway", "demo-asr-en-default"])
def test_what_sees_audio_is_told_no_way_out(name: str) -> None:
    given = vendored(networkIsolation={"proxyUrl": "http://proxy.example:3128", "caBundleConfigMap": "roots"})
    for container in containers(pod_of(made(given)["Deployment", name])).values():
        assert not {"HTTPS_PROXY", "HTTP_PROXY", "EXTRA_CA_FILE"} & set(environment(container))


def test_other_certificates_roll_the_vendors_proxy() -> None:
    given = vendored(networkIsolation={"caBundleConfigMap": "roots"})
    first, second = (
        made(given, versions={"ConfigMap/roots": version})["StatefulSet", "demo-license-proxy"]["spec"]["template"]
        for version in ("1", "2")
    )
    assert first["metadata"]["annotations"] != second["metadata"]["annotations"]


def versions_on_the_page() -> dict[str, tuple[str, str]]:
    """Version and route of each image."""
    rows = re.findall(r"^\| `(self-[\w-]+)` \| `([\w.-]+)` \| `[^|]+` \| `?([\w-]*)`? ?\|$", PAGE, re.MULTILINE)
    return {image: (version, route) for image, version, route in rows}


def version_of(reference: str | None) -> tuple[str, str]:
    image, _, version = (reference or "").rpartition("/")[2].partition(":")
    return image, version


def test_the_page_the_example_and_these_tests_name_the_same_release() -> None:
    told = {(image, version) for image, (version, _) in versions_on_the_page().items()}
    overrides = EXAMPLE.spec.images.overrides
    named = [overrides.gateway, overrides.license_proxy, *(model.image for model in EXAMPLE.spec.models)]
    assert {version_of(reference) for reference in named} == told
    here = [*IMAGES["overrides"].values(), ENGLISH["image"]]
    assert {version_of(each) for each in here if each.startswith("vendor.example/")} <= told


def test_every_model_of_the_example_has_the_route_that_the_vendors_gateway_asks_for() -> None:
    routes = {image: route for image, (_, route) in versions_on_the_page().items()}
    for given in EXAMPLE.spec.models:
        assert routes[version_of(given.image)[0]] in given.routes


@pytest.mark.parametrize(
    ("part", "workload", "name"),
    [
        ("gateway", ("Deployment", "demo-gateway"), "gateway"),
        ("licence proxy", ("StatefulSet", "demo-license-proxy"), "license-proxy"),
        ("recogniser", ("Deployment", "demo-asr-en-default"), "recognizer"),
    ],
)
def test_the_page_names_variables_port_and_health_of_every_part(
    part: str, workload: tuple[str, str], name: str
) -> None:
    given = vendored(licenseProxy={"usage": {"endpoint": "https://usage.example", "apiKeySecretName": "usage"}})
    container = containers(pod_of(made(given)[workload]))[name]
    found = re.search(rf"^\| {part} \| (.+) \| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert found is not None
    assert re.findall(r"`([A-Z_]+)`", found[1]) == list(environment(container))
    assert [port["containerPort"] for port in container["ports"]] == [int(found[2])]
    asked = container["readinessProbe"].get("httpGet", {}).get("path")
    assert found[3] == (f"`{asked}`" if asked else "gRPC health")


def test_our_load_balancer_routes_by_the_vendors_header() -> None:
    found = made()
    assert found["ConfigMap", "demo-lb-routes"]["data"]["routes.yaml"].count("en-default")
    assert containers(pod_of(found["Deployment", "demo-lb"]))["load-balancer"]


def test_gateway_licence_proxy_and_every_recogniser_switch_together() -> None:
    second = {**ENGLISH, "name": "ml-default", "speechModels": ["universal-streaming-multilingual"]}
    found = made(vendored(models=[ENGLISH, second]))
    images = [
        container["image"]
        for (kind, name), manifest in found.items()
        if kind in ("Deployment", "StatefulSet") and name != "demo-lb"
        for container in containers(pod_of(manifest)).values()
    ]
    assert len(images) == 4
    assert all(image.startswith("vendor.example/") for image in images)


def test_what_is_unknown_of_the_images_is_not_demanded_of_them() -> None:
    for name in ("demo-gateway", "demo-asr-en-default"):
        pod = pod_of(made()["Deployment", name])
        assert "runAsNonRoot" not in pod["securityContext"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod).values():
            assert container["securityContext"] == {"allowPrivilegeEscalation": False}


def test_services_selectors_and_the_claim_are_those_of_our_flavour() -> None:
    from operator_factories import built

    ours = built(stack(models=[model()]))
    theirs = made()
    for key in (("Service", "demo-gateway"), ("Service", "demo-license-proxy"), ("Service", "demo-asr-en-default")):
        assert theirs[key]["spec"] == ours[key]["spec"]
    for key in (("Deployment", "demo-gateway"), ("Deployment", "demo-asr-en-default")):
        assert theirs[key]["spec"]["selector"] == ours[key]["spec"]["selector"]
    claims = [
        flavour["StatefulSet", "demo-license-proxy"]["spec"]["volumeClaimTemplates"] for flavour in (ours, theirs)
    ]
    assert claims[0] == claims[1]


def test_a_new_licence_rolls_the_vendors_proxy() -> None:
    def annotations(version: str) -> dict[str, str]:
        found = made(versions={"Secret/license": version})["StatefulSet", "demo-license-proxy"]
        annotated: dict[str, str] = found["spec"]["template"]["metadata"]["annotations"]
        return annotated

    assert annotations("1") != annotations("2")


def test_nothing_sizes_pods_whose_load_is_unknown() -> None:
    assert autoscaling(vendored(), inputs()) == []


def test_no_model_store_and_no_way_to_one() -> None:
    found = {child.name: child.manifest()["spec"] for child in network_policies(vendored(), inputs())}
    assert "demo-model-store" not in found
    assert found["demo-asr"].get("egress", []) == []


@pytest.mark.parametrize("key", sorted(made()))
def test_every_child_is_valid(key: tuple[str, str]) -> None:
    kubernetes_validate.validate(made()[key], "1.34", strict=True)

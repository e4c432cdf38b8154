"""Rules of pools and of the models behind them."""

import json
from typing import Any

import pytest
import yaml
from operator_factories import built, containers, environment, inputs, model, pod_of, stack
from stack_model.api import Model, StreamingStack

ENGLISH, MULTILINGUAL = model("english"), model("multilingual")
GPU: dict[str, Any] = {"count": 2, "nodeSelector": {"nvidia.com/gpu.product": "L40S"}, "runtimeClassName": "nvidia"}


def pool(**fields: Any) -> dict[str, Any]:
    return built(stack(models=[model(**fields)]))["Deployment", "demo-asr-en-default"]


def routes_of(given: StreamingStack, **facts: Any) -> dict[str, Any]:
    document = yaml.safe_load(built(given, inputs(**facts))["ConfigMap", "demo-lb-routes"]["data"]["routes.yaml"])
    return {route["name"]: route for route in document["routes"]}


def listed_by(given: StreamingStack, **facts: Any) -> list[str]:
    text = built(given, inputs(**facts))["ConfigMap", "demo-gateway-models"]["data"]["models.json"]
    return [entry["speech_model"] for entry in json.loads(text)]


def test_each_model_has_a_pool_and_a_service_that_dns_answers_pod_by_pod() -> None:
    children = built(stack(models=[ENGLISH, MULTILINGUAL]))
    for name in ("demo-asr-english", "demo-asr-multilingual"):
        assert ("Deployment", name) in children
        assert children["Service", name]["spec"]["clusterIP"] == "None"


def test_no_two_pools_select_the_same_pods() -> None:
    children = built(stack(models=[ENGLISH, MULTILINGUAL]))
    names = ("demo-asr-english", "demo-asr-multilingual")
    selectors = [children["Deployment", name]["spec"]["selector"]["matchLabels"] for name in names]
    assert selectors[0] != selectors[1]
    for name, found in zip(names, selectors, strict=True):
        assert children["Service", name]["spec"]["selector"] == found


def test_nginx_leads_each_route_to_the_service_of_its_pool_by_its_whole_name() -> None:
    routes = routes_of(stack(models=[ENGLISH, model("u3-pro", speechModels=["u3-pro"], routeAliases=["u3"])]))
    assert routes["english"]["backends"] == ["demo-asr-english.speech.svc.cluster.local:50051"]
    assert routes["u3-pro"]["aliases"] == ["u3"]


def test_triton_outlives_the_recogniser_that_drains() -> None:
    pod = pod_of(pool())
    triton = next(one for one in pod["initContainers"] if one["name"] == "triton")
    assert triton["restartPolicy"] == "Always"
    (recogniser,) = pod["containers"]
    drain = recogniser["lifecycle"]["preStop"]["sleep"]["seconds"] + int(str(environment(recogniser)["DRAIN_SECONDS"]))
    assert drain + 10 <= pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("seconds", [10, 300, 7200])
def test_nothing_restarts_while_a_model_may_still_load(seconds: int) -> None:
    found = pool(startupSeconds=seconds)
    probe = containers(pod_of(found))["triton"]["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= seconds
    assert found["spec"]["progressDeadlineSeconds"] > seconds + 600


def test_a_recogniser_without_its_triton_is_not_ready_and_is_not_ended() -> None:
    (recogniser,) = pod_of(pool())["containers"]
    assert recogniser["readinessProbe"]["grpc"] == {"port": 50051}
    assert "httpGet" in recogniser["livenessProbe"]


def test_triton_has_shared_memory_of_its_own() -> None:
    pod = pod_of(pool())
    (mounted,) = [one for one in containers(pod)["triton"]["volumeMounts"] if one["mountPath"] == "/dev/shm"]
    volume = next(one for one in pod["volumes"] if one["name"] == mounted["name"])
    assert volume["emptyDir"]["medium"] == "Memory"


@pytest.mark.parametrize(
    ("fields", "surge", "unavailable"),
    [
        ({}, 1, 0),
        ({"gpu": GPU}, 0, 1),
        ({"gpu": GPU, "rollout": "Surge"}, 1, 0),
        ({"rollout": "Replace"}, 0, 1),
    ],
)
def test_a_pool_on_gpus_replaces_its_pods_unless_told_that_there_are_spare_cards(
    fields: dict[str, Any], surge: int, unavailable: int
) -> None:
    rolling = pool(**fields)["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": surge, "maxUnavailable": unavailable}


def test_cards_are_asked_of_the_device_plugin_and_nobody_else() -> None:
    pod = pod_of(pool(gpu=GPU))
    triton = containers(pod)["triton"]
    assert triton["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert triton["resources"]["requests"]["nvidia.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in containers(pod)["recognizer"]["resources"]["limits"]
    assert all("NVIDIA_VISIBLE_DEVICES" not in environment(one) for one in containers(pod).values())


def test_pods_with_cards_go_where_cards_are() -> None:
    pod = pod_of(pool(gpu=GPU))
    assert pod["nodeSelector"]["nvidia.com/gpu.product"] == "L40S"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["runtimeClassName"] == "nvidia"


def test_pods_wait_rather_than_crash_on_a_card_that_is_known_to_be_too_small() -> None:
    pod = pod_of(pool(gpu={"resourceName": "nvidia.com/mig-1g.10gb", "minMemoryGiB": 10}))
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    known, unknown = (term["matchExpressions"] for term in required["nodeSelectorTerms"])
    assert known == [{"key": "nvidia.com/mig-1g.10gb.memory", "operator": "Gt", "values": ["9215"]}]
    assert unknown == [{"key": "nvidia.com/mig-1g.10gb.memory", "operator": "DoesNotExist"}]


def test_a_stacks_own_node_affinity_wins() -> None:
    own: dict[str, Any] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    found = pod_of(pool(gpu=GPU, pods={"affinity": own}))["affinity"]
    assert found["nodeAffinity"] == own["nodeAffinity"]


def test_a_pool_on_cpus_wants_no_card() -> None:
    pod = pod_of(pool())
    assert "tolerations" not in pod
    assert "nodeAffinity" not in pod["affinity"]
    assert "runtimeClassName" not in pod
    assert "gpu" not in str(containers(pod)["triton"]["resources"])


@pytest.mark.parametrize(
    ("resources", "recogniser", "triton"),
    [
        (
            {"requests": {"cpu": "4", "memory": "16Gi"}},
            {"cpu": "1000m", "memory": "4096Mi"},
            {"cpu": "3000m", "memory": "12288Mi"},
        ),
        ({"requests": {"cpu": "500m"}}, {"cpu": "125m"}, {"cpu": "375m"}),
        (
            {"requests": {"cpu": "800000u", "memory": "1.5G"}},
            {"cpu": "200m", "memory": "357Mi"},
            {"cpu": "600m", "memory": "1072Mi"},
        ),
        ({"requests": {"cpu": "1m", "memory": "1"}}, {"cpu": "1m", "memory": "1Mi"}, {"cpu": "1m", "memory": "1Mi"}),
        (
            {"requests": {"cpu": "1e1", "memory": "1e10"}},
            {"cpu": "2500m", "memory": "2384Mi"},
            {"cpu": "7500m", "memory": "7152Mi"},
        ),
        ({"requests": {"cpu": "1", "rdma/hca": "1"}}, {"cpu": "250m"}, {"cpu": "750m", "rdma/hca": "1"}),
    ],
)
def test_a_pods_resources_are_shared_by_recogniser_and_triton(
    resources: dict[str, Any], recogniser: dict[str, str], triton: dict[str, str]
) -> None:
    pod = pod_of(pool(resources=resources))
    assert containers(pod)["recognizer"]["resources"]["requests"] == recogniser
    assert containers(pod)["triton"]["resources"]["requests"] == triton


# -- where models come from ------------------------------------------------------------------------------------------


def test_a_model_is_fetched_from_the_store_by_its_identity() -> None:
    pod = pod_of(pool())
    fetch = pod["initContainers"][0]
    assert fetch["args"][:3] == ["fetch", "--from", "http://demo-model-store.speech.svc.cluster.local:8080"]
    assert environment(containers(pod)["triton"])["WHISPER_MODEL_DIR"] == "/models/en-default"
    other = pod_of(pool(source="hf://example/other@main"))["initContainers"][0]
    assert fetch["args"] != other["args"]


def test_a_claim_is_mounted_read_only_and_needs_no_store() -> None:
    children = built(stack(models=[model(source="pvc://models/whisper/tiny")]))
    assert ("Deployment", "demo-model-store") not in children
    pod = pod_of(children["Deployment", "demo-asr-en-default"])
    assert [one["name"] for one in pod["initContainers"]] == ["triton"]
    volume = next(one for one in pod["volumes"] if one["name"] == "model")
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    mounted = next(one for one in containers(pod)["triton"]["volumeMounts"] if one["name"] == "model")
    assert (mounted["mountPath"], mounted["subPath"]) == ("/models/en-default", "whisper/tiny")


@pytest.mark.parametrize(
    ("source", "reference", "path"),
    [
        ("image://registry.example:5000/models/tiny:1.0/weights", "registry.example:5000/models/tiny:1.0", "weights"),
        (f"image://tiny@sha256:{'a' * 64}", f"tiny@sha256:{'a' * 64}", "models"),
        (f"image://here:5000/tiny@sha256:{'a' * 64}/a/b", f"here:5000/tiny@sha256:{'a' * 64}", "a/b"),
    ],
)
def test_an_image_is_mounted_where_the_cluster_can_and_copied_from_where_not(
    source: str, reference: str, path: str
) -> None:
    given = stack(models=[model(source=source)])
    copied = pod_of(built(given)["Deployment", "demo-asr-en-default"])
    assert copied["initContainers"][0]["image"] == reference
    assert copied["initContainers"][0]["command"] == ["cp", "-R", f"/{path}/.", "/streamingstack-model/"]
    seen = {one["mountPath"] for one in copied["initContainers"][0]["volumeMounts"]}
    assert "/streamingstack-model" in seen, "the image's own folder is not hidden by the volume"
    mounted = pod_of(built(given, inputs(image_volumes=True))["Deployment", "demo-asr-en-default"])
    assert [one["name"] for one in mounted["initContainers"]] == ["triton"]
    assert next(one for one in mounted["volumes"] if one["name"] == "model")["image"] == {"reference": reference}


def test_the_store_keeps_what_the_pools_fetch_and_one_pod_holds_its_volume() -> None:
    children = built(stack(models=[ENGLISH, model("multilingual", source="pvc://models")]))
    listed = yaml.safe_load(children["ConfigMap", "demo-model-store"]["data"]["models.yaml"])
    assert [one["name"] for one in listed["models"]] == ["english"]
    assert children["Deployment", "demo-model-store"]["spec"]["strategy"] == {"type": "Recreate"}


# -- models that leave -----------------------------------------------------------------------------------------------


def test_a_leaving_model_is_unlisted_and_keeps_its_pool_and_its_route() -> None:
    before = built(stack(models=[ENGLISH, MULTILINGUAL]))
    annotation = before["Deployment", "demo-asr-multilingual"]["metadata"]["annotations"]["streamingstack.dev/model"]
    leaving = (Model.model_validate_json(annotation),)
    after = stack(models=[ENGLISH])
    assert listed_by(after, leaving=leaving) == ["universal-streaming-english"]
    assert set(routes_of(after, leaving=leaving)) == {"english", "multilingual"}
    assert (
        built(after, inputs(leaving=leaving))["Deployment", "demo-asr-multilingual"]
        == before["Deployment", "demo-asr-multilingual"]
    )
    assert ("Deployment", "demo-asr-multilingual") not in built(after)


def test_a_model_that_comes_back_while_it_leaves_is_built_once_and_as_the_spec_says() -> None:
    leaving = (stack(models=[ENGLISH]).spec.models[0],)
    again = stack(models=[model("english", streams={"targetPerPod": 3, "maxPerPod": 4})])
    found = built(again, inputs(leaving=leaving))["Deployment", "demo-asr-english"]
    assert environment(containers(pod_of(found))["recognizer"])["MAX_OPEN_STREAMS"] == "4"


def test_a_route_that_another_model_took_over_leads_to_that_one() -> None:
    leaving = (stack(models=[ENGLISH]).spec.models[0],)
    routes = routes_of(stack(models=[model("multilingual", routeAliases=["english"])]), leaving=leaving)
    assert set(routes) == {"multilingual"}

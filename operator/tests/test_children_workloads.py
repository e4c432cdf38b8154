"""Rules of every workload: what its pods are, may do, wait for and how they end."""

from typing import Any

import pytest
from operator_factories import KEY_HASH, built, containers, environment, inputs, model, pod_of, stack

EVERY_WORKLOAD = (
    ("Deployment", "demo-gateway"),
    ("Deployment", "demo-sync-api"),
    ("Deployment", "demo-lb"),
    ("Deployment", "demo-model-store"),
    ("Deployment", "demo-asr-en-default"),
    ("StatefulSet", "demo-license-proxy"),
)
GPU: dict[str, Any] = {"count": 2, "nodeSelector": {"nvidia.com/gpu.product": "L40S"}, "runtimeClassName": "nvidia"}


def workload(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return built(stack(**{"syncApi": {"enabled": True}, **spec}))[kind, name]


@pytest.mark.parametrize(("kind", "name"), EVERY_WORKLOAD)
def test_every_pod_is_restricted(kind: str, name: str) -> None:
    pod = pod_of(workload(kind, name))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    for container in containers(pod).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]


@pytest.mark.parametrize(("kind", "name"), EVERY_WORKLOAD)
def test_every_container_says_what_it_needs_and_every_service_how_it_is(kind: str, name: str) -> None:
    pod = pod_of(workload(kind, name))
    for container in containers(pod).values():
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
    for container in pod["containers"]:
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


@pytest.mark.parametrize(("kind", "name"), EVERY_WORKLOAD)
def test_pods_run_on_linux_and_spread_over_zones_and_nodes_where_there_is_room(kind: str, name: str) -> None:
    found = workload(kind, name)
    pod = pod_of(found)
    assert pod["nodeSelector"]["kubernetes.io/os"] == "linux"
    # Two constraints of spread would spread nothing on nodes without zones.
    (spread,) = pod["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    assert spread["labelSelector"] == found["spec"]["selector"]
    assert spread.get("matchLabelKeys") == (["pod-template-hash"] if kind == "Deployment" else None)
    (apart,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert apart["podAffinityTerm"] == {
        "topologyKey": "topology.kubernetes.io/zone",
        "labelSelector": found["spec"]["selector"],
    }


PARTS = (
    ("gateway", "Deployment", "demo-gateway", "gateway"),
    ("loadBalancer", "Deployment", "demo-lb", "load-balancer"),
    ("modelStore", "Deployment", "demo-model-store", "model-store"),
    ("licenseProxy", "StatefulSet", "demo-license-proxy", "license-proxy"),
)
OVERRIDES: dict[str, Any] = {
    "labels": {"team": "speech"},
    "annotations": {"example.com/note": "mine"},
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "dedicated", "value": "speech", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
    "priorityClassName": "high",
    "env": [{"name": "LOGGING_LEVEL", "value": "DEBUG"}],
}


def _has_overrides(found: dict[str, Any], container: str) -> None:
    template = found["spec"]["template"]
    pod = template["spec"]
    assert template["metadata"]["labels"]["team"] == "speech"
    assert template["metadata"]["annotations"]["example.com/note"] == "mine"
    assert pod["nodeSelector"]["disk"] == "fast"
    assert {"key": "dedicated", "value": "speech", "effect": "NoSchedule"} in pod["tolerations"]
    assert pod["affinity"]["nodeAffinity"] == OVERRIDES["affinity"]["nodeAffinity"]
    assert pod["priorityClassName"] == "high"
    assert environment(containers(pod)[container])["LOGGING_LEVEL"] == "DEBUG"


@pytest.mark.parametrize(("part", "kind", "name", "container"), PARTS)
def test_the_overrides_of_a_part_reach_its_pods(part: str, kind: str, name: str, container: str) -> None:
    _has_overrides(workload(kind, name, **{part: {"pods": OVERRIDES}}), container)


def test_the_overrides_of_a_model_reach_its_pool() -> None:
    found = workload("Deployment", "demo-asr-en-default", models=[model(pods=OVERRIDES)])
    _has_overrides(found, "recognizer")
    _has_overrides(found, "triton")


def test_an_environment_variable_of_ours_can_be_overridden_and_stands_once() -> None:
    changed = {"env": [{"name": "MAX_SESSIONS", "value": "7"}]}
    (container,) = pod_of(workload("Deployment", "demo-gateway", gateway={"pods": changed}))["containers"]
    assert [one for one in container["env"] if one["name"] == "MAX_SESSIONS"] == changed["env"]


@pytest.mark.parametrize(
    ("limits", "held"), [({"memory": "2Gi"}, "1073741824"), ({"memory": "3G"}, "1500000000"), ({"cpu": "2"}, None)]
)
def test_half_of_the_gateways_memory_may_be_audio(limits: dict[str, str], held: str | None) -> None:
    gateway = {"resources": {"limits": limits}}
    (container,) = pod_of(workload("Deployment", "demo-gateway", gateway=gateway))["containers"]
    assert next((one["value"] for one in container["env"] if one["name"] == "BUDGET_BYTES"), None) == held


@pytest.mark.parametrize(("part", "kind", "name", "container"), PARTS)
def test_a_users_labels_never_enter_a_selector(part: str, kind: str, name: str, container: str) -> None:
    plain = workload(kind, name)
    labelled = workload(kind, name, **{part: {"pods": {"labels": {"team": "speech"}}}})
    assert labelled["spec"]["selector"] == plain["spec"]["selector"]


def test_images_are_pulled_with_the_stacks_secrets() -> None:
    children = built(stack(images={"pullSecrets": ["registry-one", "registry-two"]}, syncApi={"enabled": True}))
    for kind, name in EVERY_WORKLOAD:
        expected = [{"name": "registry-one"}, {"name": "registry-two"}]
        assert pod_of(children[kind, name])["imagePullSecrets"] == expected


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ({}, "registry.example/streamingstack/gateway:1.0.0"),
        ({"registry": "harbor.example.com/speech"}, "harbor.example.com/speech/gateway:1.0.0"),
        ({"registry": "harbor.example.com", "overrides": {"gateway": "here:5000/gw:2"}}, "here:5000/gw:2"),
    ],
)
def test_an_image_comes_from_the_stacks_own_reference_its_registry_or_the_operators(
    images: dict[str, Any], expected: str
) -> None:
    (container,) = pod_of(workload("Deployment", "demo-gateway", images=images))["containers"]
    assert container["image"] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "asr:1.0.0"),
        ({"gpu": {}}, "asr-nvidia:1.0.0"),
        ({"gpu": {}, "image": "here:5000/mine:3"}, "mine:3"),
    ],
)
def test_a_pool_runs_its_own_image_or_the_one_for_its_hardware(fields: dict[str, Any], expected: str) -> None:
    pod = pod_of(workload("Deployment", "demo-asr-en-default", models=[model(**fields)]))
    for name in ("recognizer", "triton"):
        assert containers(pod)[name]["image"].rpartition("/")[2] == expected


def test_on_openshift_the_platform_chooses_the_group_of_volumes() -> None:
    plain = built(stack())
    there = built(stack(), inputs(apis=frozenset({"security.openshift.io/v1/SecurityContextConstraints"})))
    for key in (("StatefulSet", "demo-license-proxy"), ("Deployment", "demo-model-store")):
        assert pod_of(plain[key])["securityContext"]["fsGroup"] == 10001
        assert "fsGroup" not in pod_of(there[key])["securityContext"]


# -- the gateway -----------------------------------------------------------------------------------------------------


def test_a_gateway_pod_may_drain_for_its_longest_session_and_is_killed_only_after_that() -> None:
    pod = pod_of(workload("Deployment", "demo-gateway", gateway={"maxSessionSeconds": 3600}))
    (container,) = pod["containers"]
    pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = int(str(environment(container)["DRAIN_SECONDS"]))
    assert drain >= 3600
    assert pre_stop + drain + 20 <= pod["terminationGracePeriodSeconds"]


def test_gateway_readiness_and_liveness_ask_different_questions() -> None:
    (container,) = pod_of(workload("Deployment", "demo-gateway"))["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_node_autoscalers_leave_gateway_pods_alone() -> None:
    annotations = workload("Deployment", "demo-gateway")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"


def test_node_autoscalers_may_move_recognisers_unless_the_stack_says_otherwise() -> None:
    name, key = "demo-asr-en-default", "cluster-autoscaler.kubernetes.io/safe-to-evict"
    template = workload("Deployment", name)["spec"]["template"]
    assert template["metadata"]["annotations"] == {key: "true"}
    kept = stack(models=[model(pods={"annotations": {key: "false"}})])
    template = built(kept)["Deployment", name]["spec"]["template"]
    assert template["metadata"]["annotations"] == {key: "false"}


@pytest.mark.parametrize("name", ["demo-gateway", "demo-lb"])
def test_a_rollout_never_leaves_fewer_pods_than_wanted(name: str) -> None:
    strategy = workload("Deployment", name)["spec"]["strategy"]
    assert strategy == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


@pytest.mark.parametrize(
    ("auth", "secret"),
    [({}, "demo-api-keys"), ({"secretName": "ours"}, "ours"), ({"mode": "AnyNonEmpty"}, None)],
)
def test_the_gateway_mounts_hashes_of_keys_unless_it_takes_any(auth: dict[str, Any], secret: str | None) -> None:
    children = built(stack(gateway={"auth": auth}))
    pod = pod_of(children["Deployment", "demo-gateway"])
    mounted = [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one]
    assert mounted == ["demo-token-secret", *([secret] if secret else [])]
    assert ("API_KEYS_FILE" in environment(pod["containers"][0])) == (secret is not None)
    assert (("Secret", "demo-api-keys") in children) == (secret == "demo-api-keys")


def test_the_first_key_is_known_to_pods_by_its_hash_only() -> None:
    children = built(stack())
    assert ("Secret", "demo-first-key") not in children
    assert KEY_HASH not in str(children["Deployment", "demo-gateway"])


def test_only_the_gateway_has_what_tokens_are_signed_with_and_nothing_renders_it() -> None:
    children = built(stack())
    assert ("Secret", "demo-token-secret") not in children
    holders = {name for name, child in children.items() if "demo-token-secret" in str(child)}
    assert holders == {("Deployment", "demo-gateway")}
    pod = pod_of(children["Deployment", "demo-gateway"])
    file = environment(pod["containers"][0])["TOKEN_SECRET_FILE"]
    assert file is not None
    folder, _, name = file.rpartition("/")
    (mounted,) = [one["name"] for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == folder]
    (volume,) = [one["secret"] for one in pod["volumes"] if one["name"] == mounted]
    assert volume == {"secretName": "demo-token-secret", "items": [{"key": "token-secret", "path": name}]}


@pytest.mark.parametrize(("auth", "told"), [({}, None), ({"singleUseTokens": True}, "true")])
def test_gateways_are_told_where_a_token_opens_one_session(auth: dict[str, Any], told: str | None) -> None:
    pod = pod_of(built(stack(gateway={"auth": auth}))["Deployment", "demo-gateway"])
    variables = environment(pod["containers"][0])
    assert variables.get("SINGLE_USE_TOKENS") == told
    assert variables["LEASE_ENDPOINT"], "where tokens are spent"


@pytest.mark.parametrize("service_name", ["gateway", "sync-api"])
@pytest.mark.parametrize("replicas", [1, 3])
def test_sessions_and_recordings_are_counted_at_one_licence_proxy_that_every_size_has(
    replicas: int, service_name: str
) -> None:
    children = built(stack(licenseProxy={"replicas": replicas}, syncApi={"enabled": True}))
    told = environment(pod_of(children["Deployment", f"demo-{service_name}"])["containers"][0])
    leases, proxy = told["LEASE_ENDPOINT"] or "", told["AAI_LICENSE_AND_USAGE_PROXY_ENDPOINT"] or ""
    pod, service, *_ = leases.removeprefix("http://").split(".")
    proxies = children["StatefulSet", "demo-license-proxy"]
    assert pod == f"{proxies['metadata']['name']}-0"
    assert "ordinals" not in proxies["spec"]
    assert service == proxies["spec"]["serviceName"]
    assert leases.endswith(".speech.svc.cluster.local:8080")
    assert proxy.startswith("http://demo-license-proxy.speech.")


def test_usage_is_spooled_on_a_volume_of_the_pod() -> None:
    pod = pod_of(workload("Deployment", "demo-gateway"))
    folder = environment(pod["containers"][0])["SPOOL_DIR"]
    (mounted,) = [one for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == folder]
    assert "readOnly" not in mounted
    assert "emptyDir" in next(one for one in pod["volumes"] if one["name"] == mounted["name"])


def test_the_gateways_service_says_that_it_speaks_websocket() -> None:
    (port,) = workload("Service", "demo-gateway")["spec"]["ports"]
    assert (port["port"], port["appProtocol"]) == (8080, "kubernetes.io/ws")


# -- the licence proxy -----------------------------------------------------------------------------------------------


def test_licence_proxies_start_side_by_side_and_their_volumes_outlive_them() -> None:
    spec = workload("StatefulSet", "demo-license-proxy")["spec"]
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["serviceName"] == "demo-license-proxy-pods"
    assert workload("Service", "demo-license-proxy-pods")["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize(("wanted", "undelivered", "expected"), [(2, 0, 2), (1, 3, 3), (4, 2, 4)])
def test_a_licence_proxy_with_undelivered_usage_stays(wanted: int, undelivered: int, expected: int) -> None:
    children = built(stack(licenseProxy={"replicas": wanted}), inputs(undelivered_proxies=undelivered))
    assert children["StatefulSet", "demo-license-proxy"]["spec"]["replicas"] == expected


def test_several_stacks_of_a_namespace_mount_one_licence() -> None:
    for name in ("one", "two"):
        pod = pod_of(built(stack(name))["StatefulSet", f"{name}-license-proxy"])
        secrets = [one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one]
        assert secrets == ["license"]


def test_the_trackers_key_comes_from_a_secret_and_is_nowhere_in_the_manifest() -> None:
    usage = {"endpoint": "https://tracker.example.com", "apiKeySecretName": "tracker"}
    (container,) = pod_of(workload("StatefulSet", "demo-license-proxy", licenseProxy={"usage": usage}))["containers"]
    (variable,) = [one for one in container["env"] if one["name"] == "USAGE_TRACKING_API_KEY"]
    assert variable == {
        "name": "USAGE_TRACKING_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": "tracker", "key": "api-key"}},
    }


@pytest.mark.parametrize(("kind", "name"), [PARTS[2][1:3], PARTS[3][1:3]])
def test_what_goes_out_goes_through_the_proxy_and_trusts_the_extra_certificates(kind: str, name: str) -> None:
    isolation = {"proxyUrl": "http://proxy.example.com:3128", "caBundleConfigMap": "roots"}
    pod = pod_of(workload(kind, name, networkIsolation=isolation))
    variables = environment(pod["containers"][0])
    assert variables["HTTPS_PROXY"] == "http://proxy.example.com:3128"
    assert ".svc" in str(variables["NO_PROXY"])
    folder = str(variables["EXTRA_CA_FILE"]).rpartition("/")[0]
    (mounted,) = [one for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == folder]
    assert next(one for one in pod["volumes"] if one["name"] == mounted["name"])["configMap"]["name"] == "roots"


@pytest.mark.parametrize("name", ["demo-gateway", "demo-lb", "demo-asr-en-default"])
def test_what_sees_audio_is_told_no_way_out(name: str) -> None:
    isolation = {"proxyUrl": "http://proxy.example.com:3128", "caBundleConfigMap": "roots"}
    for container in containers(pod_of(workload("Deployment", name, networkIsolation=isolation))).values():
        assert not {"HTTPS_PROXY", "HTTP_PROXY"} & set(environment(container))

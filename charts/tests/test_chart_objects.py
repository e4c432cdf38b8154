"""What the chart renders: known to Kubernetes, without privileges, with the operator's rights and no more."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from metrics_adapter.settings import AdapterSettings
from rendered_chart import (
    CHART,
    MONITORING,
    NAMESPACE,
    RELEASE,
    ROOT,
    STACK,
    Refused,
    at,
    environment,
    helm,
    of_kind,
    over,
    pods,
    rendered,
)
from service_kit.settings import load_settings
from streaming_operator.settings import OperatorSettings

KUBERNETES = "1.34"
_FOREIGN = {"StreamingStack", "PodMonitor", "PrometheusRule"}
RULES = yaml.safe_load((ROOT / "operator" / "rbac.yaml").read_text())
ADAPTER_RULES = yaml.safe_load((ROOT / "operator" / "adapter-rbac.yaml").read_text())
SHAPES: dict[str, dict[str, Any]] = {
    "usual": {},
    "stack": over(STACK, {"monitoring": {"dashboards": {"enabled": True}}}),
    "namespaces": {"scope": "namespaces", "namespaces": ["one", "two"]},
}


def test_helm_finds_nothing_to_complain_about() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_kubernetes_knows_every_field(tmp_path: Path, shape: str) -> None:
    objects = rendered(tmp_path, SHAPES[shape], *MONITORING)
    assert {"Deployment", "Job"} <= {each["kind"] for each in objects}
    for each in objects:
        if each["kind"] not in _FOREIGN:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_no_two_objects_have_one_name_and_none_lacks_its_namespace(tmp_path: Path, shape: str) -> None:
    objects = rendered(tmp_path, SHAPES[shape], *MONITORING)
    keys = [(it["kind"], it["metadata"].get("namespace"), it["metadata"]["name"]) for it in objects]
    assert len(keys) == len(set(keys))
    assert {kind for kind, namespace, _ in keys if namespace is None} <= {"ClusterRole", "ClusterRoleBinding"}


def test_every_pod_keeps_to_the_restricted_level(tmp_path: Path) -> None:
    found = pods(rendered(tmp_path, SHAPES["stack"]))
    assert len(found) == 4
    for name, pod in found.items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["limits"]["memory"], name
        assert all({"emptyDir", "configMap"} & set(volume) for volume in pod["volumes"]), name


def test_the_operator_reads_what_the_chart_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = over(SHAPES["namespaces"], {"operator": {"workers": 9, "resyncSeconds": 600, "logLevel": "WARNING"}})
    for name, value in environment(rendered(tmp_path, values)).items():
        monkeypatch.setenv(name, value)
    settings = load_settings(OperatorSettings)
    assert settings.namespaces == ["one", "two"]
    assert (settings.workers, settings.resync_seconds, settings.log_level) == (9, 600, "WARNING")
    assert settings.images().license_proxy == "localhost/streamingstack/license-proxy:0.1.0"


def test_every_variable_that_the_chart_gives_is_one_that_the_operator_reads(tmp_path: Path) -> None:
    values = at("operator", {"clusterDns": "a", "clusterDomain": "b", "scalerAddress": "c:1"})
    read = {str(field.validation_alias) for field in OperatorSettings.model_fields.values()}
    given = set(environment(rendered(tmp_path, values)))
    assert given - read == {"LOGGING_LEVEL", "USE_STRUCTURED_LOGGING"}
    assert "WITHDRAW_METRICS_API" in given
    assert read - given - {"POD_NAME", "POD_NAMESPACE", "OPERATOR_KUBECONFIG"} == {
        name for name in read if name.startswith("AliasChoices")
    }


def test_no_variable_comes_twice_and_those_of_the_user_win(tmp_path: Path) -> None:
    extra = [{"name": "WORKERS", "value": "2"}, {"name": "HTTPS_PROXY", "value": "http://proxy:1"}]
    objects = rendered(tmp_path, at("operator.extraEnv", extra))
    variables = of_kind(objects, "Deployment", "-operator")["spec"]["template"]["spec"]["containers"][0]["env"]
    names = [variable["name"] for variable in variables]
    assert len(names) == len(set(names))
    assert environment(objects)["WORKERS"] == "2"


def test_in_the_whole_cluster_the_operator_has_its_rights_and_no_others(tmp_path: Path) -> None:
    objects = rendered(tmp_path, {})
    role = of_kind(objects, "ClusterRole", "-operator-")
    assert role["rules"] == RULES["namespaced"] + RULES["cluster"] + RULES["registration"]
    binding = of_kind(objects, "ClusterRoleBinding", "-operator-")
    account = of_kind(objects, "ServiceAccount", "-operator")["metadata"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account["name"], "namespace": NAMESPACE}]
    of_operator = [it for it in objects if "-operator" in it["metadata"]["name"]]
    assert not [each for each in of_operator if each["kind"] in {"Role", "RoleBinding"}]
    without = rendered(tmp_path, at("metricsAdapter.enabled", False))
    assert of_kind(without, "ClusterRole", "-operator-")["rules"] == RULES["namespaced"] + RULES["cluster"]


@pytest.mark.parametrize(("listed", "expected"), [(["one", "two"], ["one", "two"]), ([], [NAMESPACE])])
def test_in_namespaces_it_has_a_role_in_each_and_nothing_of_the_cluster(
    tmp_path: Path, listed: list[str], expected: list[str]
) -> None:
    values = {"scope": "namespaces", "namespaces": listed, "crds": {"upgradeHook": {"enabled": False}}}
    objects = rendered(tmp_path, values)
    for part, rules in (("operator", RULES), ("metrics-adapter", ADAPTER_RULES)):
        of_part = [each for each in objects if f"-{part}" in each["metadata"]["name"]]
        roles = [each for each in of_part if each["kind"] == "Role"]
        assert [role["metadata"]["namespace"] for role in roles] == expected
        assert all(role["rules"] == rules["namespaced"] for role in roles)
        assert [it["metadata"]["namespace"] for it in of_part if it["kind"] == "RoleBinding"] == expected
    assert not [each for each in objects if each["kind"].startswith("Cluster")]
    assert environment(objects)["WATCH_NAMESPACES"] == ",".join(expected)


def test_the_metrics_adapter_reads_what_the_chart_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = rendered(tmp_path, at("metricsAdapter", {"scrapeSeconds": 5, "staleSeconds": 20}))
    given = environment(objects, "metrics-adapter")
    read = {str(field.validation_alias) for field in AdapterSettings.model_fields.values()}
    assert set(given) - read == {"LOGGING_LEVEL", "USE_STRUCTURED_LOGGING"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(AdapterSettings)
    assert (settings.serve_api, settings.scrape_seconds, settings.stale_seconds) == (True, 5, 20)
    service = of_kind(objects, "Service", "metrics-adapter")
    assert service["metadata"]["name"] == settings.service
    assert of_kind(objects, "Secret")["metadata"]["name"] == settings.tls_secret
    assert "data" not in of_kind(objects, "Secret"), "what the adapter puts in is never taken out"
    assert of_kind(objects, "ClusterRole", "metrics-adapter")["metadata"]["name"] == settings.owner
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert environment(objects)["SCALER_ADDRESS"] == f"{settings.service}.{NAMESPACE}.svc:{ports['scaler']}"
    assert ports["api"] == settings.service_port


def test_the_metrics_adapter_has_its_rights_and_no_others(tmp_path: Path) -> None:
    objects = [it for it in rendered(tmp_path, {}) if "metrics-adapter" in it["metadata"]["name"]]
    role = of_kind(objects, "ClusterRole")
    *listed, own = role["rules"]
    assert listed == ADAPTER_RULES["namespaced"] + ADAPTER_RULES["cluster"]
    assert (own["resources"], own["resourceNames"], own["verbs"]) == (
        ["clusterroles"], [role["metadata"]["name"]], ["get"],
    )  # fmt: skip
    [secret] = of_kind(objects, "Role")["rules"]
    assert secret["verbs"] == ["get", "patch"]
    assert secret["resourceNames"] == [of_kind(objects, "Secret")["metadata"]["name"]]
    reader = next(it for it in objects if it["metadata"].get("namespace") == "kube-system")
    assert reader["roleRef"]["name"] == "extension-apiserver-authentication-reader"
    account = of_kind(objects, "ServiceAccount")["metadata"]["name"]
    bindings = [it for it in objects if it["kind"].endswith("Binding")]
    assert len(bindings) == 3
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
    for rule in [*role["rules"], secret]:
        assert not {"*"} & {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}


def test_one_of_two_metrics_adapters_is_always_there(tmp_path: Path) -> None:
    objects = [it for it in rendered(tmp_path, {}) if "metrics-adapter" in it["metadata"]["name"]]
    spec = of_kind(objects, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    selector = spec["selector"]["matchLabels"]
    budget = of_kind(objects, "PodDisruptionBudget")["spec"]
    assert budget == {"maxUnavailable": 1, "selector": {"matchLabels": selector}}
    spread = spec["template"]["spec"]["topologySpreadConstraints"]
    assert {it["topologyKey"] for it in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert of_kind(objects, "Service")["spec"]["selector"] == selector


@pytest.mark.parametrize(
    ("scope", "api", "serves"),
    [
        ("cluster", "Auto", True),
        ("cluster", "Never", False),
        ("namespaces", "Auto", False),
        ("namespaces", "Always", True),
    ],
)
def test_the_api_of_the_whole_cluster_is_served_where_it_may_be(
    tmp_path: Path, scope: str, api: str, serves: bool
) -> None:
    objects = rendered(tmp_path, {"scope": scope, "metricsAdapter": {"api": api}})
    assert environment(objects, "metrics-adapter")["SERVE_METRICS_API"] == str(serves).lower()
    assert ("WITHDRAW_METRICS_API" in environment(objects)) is serves
    assert any(it["metadata"].get("namespace") == "kube-system" for it in objects) is serves
    assert ("SCALER_ADDRESS" in environment(objects)) is True, "KEDA needs no such API"
    assert not [it for it in objects if it["kind"] == "APIService"], "only an adapter that answers is registered"


def test_the_upgrade_hook_may_write_one_definition_and_ends_with_its_rights(tmp_path: Path) -> None:
    hooks = [it for it in rendered(tmp_path, {}) if "helm.sh/hook" in it["metadata"].get("annotations", {})]
    assert [hook["kind"] for hook in hooks] == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Job"]
    for hook in hooks:
        assert hook["metadata"]["annotations"]["helm.sh/hook"] == "pre-upgrade"
        assert "hook-succeeded" in hook["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    written = [(rule["verbs"], rule.get("resourceNames")) for rule in hooks[1]["rules"]]
    assert written == [(["patch"], ["streamingstacks.streamingstack.dev"]), (["create"], None)]


def test_alerts_and_their_templates_reach_prometheus_as_they_are(tmp_path: Path) -> None:
    rule = of_kind(rendered(tmp_path, {}, *MONITORING), "PrometheusRule")
    source = yaml.safe_load((CHART / "alerts" / "streaming-stack.rules.yaml").read_text())
    assert rule["spec"]["groups"] == source["groups"]


def test_without_the_monitoring_api_nothing_of_it_is_made(tmp_path: Path) -> None:
    assert not {"PodMonitor", "PrometheusRule"} & {each["kind"] for each in rendered(tmp_path, {})}


def test_a_test_that_could_not_know_a_key_is_refused_with_the_remedy(tmp_path: Path) -> None:
    own = over(STACK, at("stack.spec.gateway.auth", {"mode": "Keys", "secretName": "mine"}))
    with pytest.raises(Refused, match=r"test\.apiKeySecret"):
        rendered(tmp_path, own)
    assert pods(rendered(tmp_path, over(own, at("test.apiKeySecret", "clear"))))["heard-streaming-stack-test"]


def test_a_stack_that_nobody_would_look_after_is_refused_with_the_remedy(tmp_path: Path) -> None:
    watched = {"scope": "namespaces", "namespaces": ["speech", "other"]}
    with pytest.raises(Refused, match=r"stack\.enabled.*chosen.*speech, other.*nobody would look after it"):
        rendered(tmp_path, {**STACK, **watched})
    for namespaces in ([], ["speech", NAMESPACE]):
        assert of_kind(rendered(tmp_path, {**STACK, "scope": "namespaces", "namespaces": namespaces}), "StreamingStack")


def notes(tmp_path: Path, values: dict[str, Any]) -> str:
    """What an installation says in the end."""
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    told = helm("install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", f"--values={file}", "--dry-run=client")
    return told.partition("NOTES:")[2]


@pytest.mark.parametrize(
    ("values", "stacks"),
    [
        ({}, NAMESPACE),
        ({"scope": "namespaces"}, NAMESPACE),
        ({"scope": "namespaces", "namespaces": ["other", NAMESPACE]}, NAMESPACE),
        ({"scope": "namespaces", "namespaces": ["speech", "other"]}, "speech"),
    ],
)
def test_the_notes_speak_of_a_namespace_that_is_watched(tmp_path: Path, values: dict[str, Any], stacks: str) -> None:
    told = notes(tmp_path, values)
    assert f"is installed in {NAMESPACE} and" in told
    assert set(re.findall(r"kubectl -n (\S+)", told)) == {stacks}


def test_the_chart_is_of_the_same_version_as_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]


def test_the_pod_that_speaks_has_the_label_that_notes_and_values_tell_to_admit(tmp_path: Path) -> None:
    [pod] = [it for it in rendered(tmp_path, STACK) if it["kind"] == "Pod"]
    assert pod["metadata"]["labels"]["app.kubernetes.io/component"] == "test"
    walled = over(
        STACK,
        at(
            "stack.spec.networkIsolation.clientsFrom", [{"namespaceLabels": {"kubernetes.io/metadata.name": "ingress"}}]
        ),
    )
    assert "app.kubernetes.io/component: test" in (CHART / "values.yaml").read_text()
    assert "app.kubernetes.io/component: test" in notes(tmp_path, walled)
    assert "clientsFrom" not in notes(tmp_path, STACK)

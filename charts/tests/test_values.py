"""Every value is seen in what is rendered, and what is misspelt is refused."""

import json
from pathlib import Path
from typing import Any

import chart
import pytest
import yaml
from jsonschema import Draft202012Validator
from rendered_chart import CHART, MONITORING, NAMESPACE, SPEC, STACK, Refused, at, over, rendered
from stack_model.api.stack import LONGEST_NAME

DIGEST = "sha256:" + "ab" * 32
PARTS = {
    "operator": "operator",
    "gateway": "gateway",
    "licenseProxy": "license-proxy",
    "loadBalancer": "load-balancer",
    "asr": "asr",
    "asrGpu": "asr-nvidia",
    "modelStore": "model-store",
    "syncApi": "sync-api",
}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
_ON = {"monitoring": {"dashboards": {"enabled": True}}}
EVERYTHING = over(STACK, _ON)

# What is set over EVERYTHING, and what is then in the YAML and was not before.
SEEN: dict[str, tuple[Any, str]] = {
    "nameOverride": ("renamed", "heard-renamed-operator"),
    "fullnameOverride": ("wholly-renamed", "wholly-renamed-operator"),
    "commonLabels": ({"team": "ears"}, "team: ears"),
    "scope": ("namespaces", "kind: Role\nmetadata:\n  labels:\n    app.kubernetes.io/component: operator"),
    "images.registry": ("example.com/mirror", "example.com/mirror/gateway:"),
    "images.tag": ("v9", "/operator:v9"),
    "images.pullPolicy": ("Always", "imagePullPolicy: Always"),
    "images.pullSecrets": (["token"], "imagePullSecrets:\n- name: token"),
    "operator.workers": (7, "name: WORKERS\n  value: '7'"),
    "operator.resyncSeconds": (777, "name: RESYNC_SECONDS\n  value: '777'"),
    "operator.readingsSeconds": (77, "name: READINGS_SECONDS\n  value: '77'"),
    "operator.unlistedSeconds": (78, "name: UNLISTED_SECONDS\n  value: '78'"),
    "operator.clusterDns": ("dns.example.com", "name: CLUSTER_DNS\n  value: dns.example.com"),
    "operator.clusterDomain": ("example.com", "name: CLUSTER_DOMAIN\n  value: example.com"),
    "operator.scalerAddress": ("scaler:9", "name: SCALER_ADDRESS\n  value: scaler:9"),
    "operator.logLevel": ("DEBUG", "value: DEBUG"),
    "operator.structuredLogs": (False, "name: USE_STRUCTURED_LOGGING\n  value: 'false'"),
    "operator.extraEnv": ([{"name": "NO_PROXY", "value": "svc"}], "name: NO_PROXY\n  value: svc"),
    "operator.resources": ({"limits": {"memory": "2Gi"}}, "memory: 2Gi"),
    "operator.priorityClassName": ("first", "priorityClassName: first"),
    "operator.nodeSelector": ({"disk": "quick"}, "disk: quick"),
    "operator.tolerations": ([{"key": "gpu"}], "tolerations:\n- key: gpu"),
    "operator.affinity": ({"nodeAffinity": {}}, "affinity:\n  nodeAffinity"),
    "operator.podAnnotations": ({"told": "yes"}, "told: 'yes'"),
    "operator.podLabels": ({"mesh": "in"}, "mesh: in"),
    "metricsAdapter.api": ("Never", "name: SERVE_METRICS_API\n  value: 'false'"),
    "metricsAdapter.replicas": (3, "replicas: 3"),
    "metricsAdapter.scrapeSeconds": (7, "name: SCRAPE_SECONDS\n  value: '7'"),
    "metricsAdapter.staleSeconds": (43, "name: STALE_SECONDS\n  value: '43'"),
    "metricsAdapter.logLevel": ("ERROR", "value: ERROR"),
    "metricsAdapter.resources": ({"limits": {"memory": "3Gi"}}, "memory: 3Gi"),
    "metricsAdapter.priorityClassName": ("second", "priorityClassName: second"),
    "metricsAdapter.nodeSelector": ({"disk": "slow"}, "disk: slow"),
    "metricsAdapter.tolerations": ([{"key": "edge"}], "tolerations:\n- key: edge"),
    "metricsAdapter.affinity": ({"podAffinity": {}}, "affinity:\n  podAffinity"),
    "metricsAdapter.podAnnotations": ({"said": "yes"}, "said: 'yes'"),
    "metricsAdapter.podLabels": ({"mesh": "out"}, "mesh: out"),
    "metricsAdapter.serviceAccount.create": (False, "serviceAccountName: its-own"),
    "metricsAdapter.serviceAccount.name": ("its-known", "serviceAccountName: its-known"),
    "metricsAdapter.serviceAccount.annotations": ({"role": "asker"}, "role: asker"),
    "serviceAccount.create": (False, "serviceAccountName: given"),
    "serviceAccount.name": ("known", "serviceAccountName: known"),
    "serviceAccount.annotations": ({"role": "reader"}, "role: reader"),
    "monitoring.podMonitor.labels": ({"release": "prom"}, "release: prom"),
    "monitoring.alerts.labels": ({"rules": "prom"}, "rules: prom"),
    "monitoring.alerts.undeliveredUsage": (True, "StreamingUsageUndelivered"),
    "monitoring.dashboards.labels": ({"board": "mine"}, "board: mine"),
    "monitoring.dashboards.annotations": ({"folder": "ears"}, "folder: ears"),
    "stack.name": ("other", "ws://other-gateway.chosen.svc:8080/v3/ws"),
    "test.speechModel": ("u3-rt-pro", "value: u3-rt-pro"),
    "test.timeoutSeconds": (33, "value: '33'"),
    "test.apiKeySecret": ("my-keys", "name: my-keys"),
    "test.apiKeySecretKey": ("mine", "key: mine"),
}
for _part, _name in PARTS.items():
    SEEN[f"images.{_part}.name"] = (f"my-{_name}", f"/my-{_name}:")
    SEEN[f"images.{_part}.registry"] = ("example.com/one", f"example.com/one/{_name}:")
    SEEN[f"images.{_part}.tag"] = ("special", f"/{_name}:special")
    SEEN[f"images.{_part}.digest"] = (DIGEST, f"/{_name}@{DIGEST}")

# What is set, and what is there with the usual value and then no more.
GONE: dict[str, tuple[Any, str]] = {
    "metricsAdapter.enabled": (False, "streaming-stack-metrics-adapter"),
    "rbac.create": (False, "kind: ClusterRole\nmetadata:\n  labels:\n    app.kubernetes.io/component: operator"),
    "crds.upgradeHook.enabled": (False, "kind: Job"),
    "monitoring.podMonitor.enabled": (False, "kind: PodMonitor"),
    "monitoring.alerts.enabled": (False, "kind: PrometheusRule"),
    "monitoring.dashboards.enabled": (False, "grafana_dashboard"),
    "stack.enabled": (False, "kind: StreamingStack"),
    "test.enabled": (False, "helm.sh/hook: test"),
}
# Those that would hide others.
ALONE = {"nameOverride", "fullnameOverride", "serviceAccount.create", "metricsAdapter.serviceAccount.create"}
# Those with which others make sense.
WITH: dict[str, dict[str, Any]] = {
    "serviceAccount.create": at("serviceAccount.name", "given"),
    "metricsAdapter.serviceAccount.create": at("metricsAdapter.serviceAccount.name", "its-own"),
    "namespaces": at("scope", "namespaces"),
}
SEEN["namespaces"] = ([NAMESPACE, "there"], "namespace: there")
SEEN["stack.spec"] = (over(SPEC, at("gateway.maxSessionSeconds", 601)), "maxSessionSeconds: 601")


def _text(folder: Path, values: dict[str, Any]) -> str:
    return "---\n".join(yaml.safe_dump(each) for each in rendered(folder, values, *MONITORING))


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _text(tmp_path_factory.mktemp("usual"), EVERYTHING)


def _round(path: str) -> str:
    """Values that do not hide each other are rendered together: helm takes a while."""
    part = path.split(".")[1] if path.startswith("images.") else ""
    if part in PARTS:
        return "of one image: " + path.rpartition(".")[2]
    return path if path in ALONE else "the others"


@pytest.mark.parametrize("together", sorted({_round(path) for path in SEEN}))
def test_every_value_is_seen(tmp_path: Path, usual: str, together: str) -> None:
    values = EVERYTHING
    chosen = {path: seen for path, seen in SEEN.items() if _round(path) == together}
    for path, (value, _) in chosen.items():
        values = over(over(values, WITH.get(path, {})), at(path, value))
    text = _squeezed(_text(tmp_path, values))
    unseen = {path for path, (_, expected) in chosen.items() if _squeezed(expected) not in text}
    always = {path for path, (_, expected) in chosen.items() if _squeezed(expected) in _squeezed(usual)}
    assert (unseen, always) == (set(), set())


@pytest.mark.parametrize("path", sorted(GONE))
def test_what_is_turned_off_is_not_there(tmp_path: Path, usual: str, path: str) -> None:
    value, expected = GONE[path]
    assert _squeezed(expected) in _squeezed(usual)
    assert _squeezed(expected) not in _squeezed(_text(tmp_path, over(EVERYTHING, at(path, value))))


def _squeezed(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines())


def test_no_value_is_left_out_here() -> None:
    values = chart.read_values((CHART / "values.yaml").read_text())
    assert {value.path for value in chart.leaves(values)} == set(SEEN) | set(GONE)


def test_copies_schema_and_readme_are_current() -> None:
    stale = [path for path, body in chart.made_files().items() if path.read_bytes() != body]
    assert stale == [], "run `make generate`"


def _all_paths() -> list[str]:
    values = chart.read_values((CHART / "values.yaml").read_text())
    tables = {value.path.rpartition(".")[0] for value in chart.leaves(values)} - {""}
    return ["replicas", *(f"{table}.replica" for table in sorted(tables))]


def _refusals(values: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(values)]


@pytest.mark.parametrize("path", _all_paths())
def test_a_misspelt_value_is_refused(path: str) -> None:
    assert _refusals(STACK) == []
    [refused] = _refusals(over(STACK, at(path, 2)))
    assert path.rpartition(".")[2] in refused


WRONG: dict[str, Any] = {
    "scope": "everywhere",
    "operator.workers": 0,
    "operator.logLevel": "LOUD",
    "metricsAdapter.api": "Perhaps",
    "metricsAdapter.replicas": 0,
    "images.asr.digest": "sha256:short",
    "stack.name": "",
    "stack.spec": {"models": [{"name": "en", "speechModel": "misspelt", "source": "image://example.com/en:1"}]},
}


@pytest.mark.parametrize("path", sorted(WRONG))
def test_a_wrong_value_is_refused(path: str) -> None:
    assert _refusals(over(STACK, at(path, WRONG[path])))


@pytest.mark.parametrize(("path", "value"), [("operator.replicas", 2), ("stack.spec.modles", [])])
def test_helm_judges_by_the_schema(tmp_path: Path, path: str, value: Any) -> None:
    with pytest.raises(Refused, match=path.rpartition(".")[2]):
        rendered(tmp_path, over(STACK, at(path, value)))


def test_a_stacks_name_may_be_as_long_as_the_api_has_it() -> None:
    assert _refusals(over(STACK, at("stack.name", "n" * LONGEST_NAME))) == []
    assert _refusals(over(STACK, at("stack.name", "n" * (LONGEST_NAME + 1))))


EXAMPLES = sorted((CHART.parents[1] / "examples").glob("*.yaml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_spec_of_every_example_is_taken(example: Path) -> None:
    [spec] = [it["spec"] for it in yaml.safe_load_all(example.read_text()) if it and it["kind"] == "StreamingStack"]
    assert _refusals({"stack": {"enabled": True, "spec": spec}}) == []


def test_a_spec_is_rendered_as_it_is(tmp_path: Path) -> None:
    found = [it for it in rendered(tmp_path, STACK) if it["kind"] == "StreamingStack"]
    assert [it["spec"] for it in found] == [SPEC]

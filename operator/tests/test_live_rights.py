"""The operator with the rights of `operator/rbac.yaml` and no others, in both shapes."""

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_cluster import optional_crds
from e2e_cluster.addons.crds import apply_crds
from e2e_cluster.api_server import start_api
from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, install_definition, make_namespace, operator, pod_on_a_node, until
from live_pods import node
from streaming_operator import names
from streaming_operator.handlers import settings
from streaming_operator.kinds import CHILDREN, EVENT, NODE, POD, STACK, STORAGE_CLASS
from streaming_operator.seen import DELETION_COST

pytestmark = pytest.mark.cluster
RULES = yaml.safe_load((Path(__file__).parents[1] / "rbac.yaml").read_text())
SCALER = "scaler.streamingstack-system.svc:9091"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesApi]:
    """An API server with every kind whose definition is published; its own, as others' tests have to see none."""
    with start_api(tmp_path_factory.mktemp("rights"), controllers=True) as server:
        api = KubernetesApi(server.kubeconfig)
        install_definition(api)
        apply_crds(api, [optional_crds.pod_monitor(), optional_crds.scaled_object(), optional_crds.http_route()])
        yield api


def _object(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, **fields}


def _kubeconfig(space: Namespace, folder: Path) -> Path:
    """Of the service account `operator`."""
    space.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}})
    token = space.kubectl("create", "token", "operator").strip()
    config = yaml.safe_load(space.api.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


def _grant(space: Namespace, shape: str) -> None:
    subject = [{"kind": "ServiceAccount", "name": "operator", "namespace": space.name}]
    if shape == "cluster":
        name = f"operator-{space.name}"
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        space.apply(
            _object("ClusterRole", name, rules=RULES["namespaced"] + RULES["cluster"]),
            _object("ClusterRoleBinding", name, roleRef=ref, subjects=subject),
        )
    else:
        ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
        space.apply(
            _object("Role", "operator", rules=RULES["namespaced"]),
            _object("RoleBinding", "operator", roleRef=ref, subjects=subject),
        )


# Its definition is not published; what is done with its kind is done with every kind.
NOT_SERVED = {"cloud.google.com"}
# kopf's own requests, which are not among the counted ones; without them no stack would be seen at all.
KOPF = {("streamingstack.dev", "streamingstacks", "list"), ("streamingstack.dev", "streamingstacks", "watch")}
KINDS = {kind.name: kind for kind in (STACK, EVENT, POD, NODE, STORAGE_CLASS, *CHILDREN)}
VERBS = {"GET": "get", "LIST": "list", "WATCH": "watch", "PATCH": "patch", "POST": "create", "DELETE": "delete"}
OPTIONAL_CHILDREN = (
    ("httproutes.gateway.networking.k8s.io", "demo-gateway"),
    ("scaledobjects.keda.sh", "demo-asr-ml"),
    ("podmonitors.monitoring.coreos.com", "demo"),
)
Right = tuple[str, str, str]


@pytest.mark.parametrize("shape", ["cluster", "namespaces"])
def test_the_rights_are_enough_for_a_life_of_a_stack_and_each_of_them_is_used(
    served: KubernetesApi, tmp_path: Path, shape: str
) -> None:
    space = make_namespace(served, f"rights-{shape}")
    _grant(space, shape)
    watched = "" if shape == "cluster" else space.name
    variables = {"UNLISTED_SECONDS": "0", "SCALER_ADDRESS": SCALER}
    with operator(_kubeconfig(space, tmp_path), tmp_path / "log", watched, **variables) as running:
        _live_and_end(space, served)
        running.until_quiet()
        used, refused = _asked(running.get("/metrics"))
        assert "forbidden" not in running.log.read_text().lower()
    granted = _rights(RULES["namespaced"] + (RULES["cluster"] if shape == "cluster" else []))
    # What a namespace's rights never cover, and what the operator does without.
    assert refused == (set() if shape == "cluster" else _rights(RULES["cluster"]))
    assert granted - used - KOPF == {right for right in granted if right[0] in NOT_SERVED}
    assert used <= granted


def _live_and_end(space: Namespace, api: KubernetesApi) -> None:
    """Everything that a stack can have and that is taken away again."""
    space.license()
    second = {"name": "ml", "speechModels": ["universal-streaming-ml"], "source": "hf://example/ml@v1"}
    first = {"name": "en", "speechModels": ["universal-streaming-en"], "source": "hf://example/en@v1"}
    space.stack(models=[first, second], gateway={"expose": {"type": "Ingress"}})
    space.until_condition("demo", "LicenseValid", "Valid")
    until("events are posted", lambda: "StreamingStack" in str(space.all("events")))
    with node(api) as kubelet:
        talking, _ = kubelet.run_all(space, "demo-gateway", 2)
        kubelet.told[talking].sessions = 3
        until("a cost is written", lambda: DELETION_COST in str(space.get("pod", talking)))
    routed = {"type": "HTTPRoute", "parentRefs": [{"name": "edge"}]}
    space.stack(models=[first, second], gateway={"expose": routed}, autoscaling={"provider": "KEDA"})
    for kind, name in OPTIONAL_CHILDREN:
        until(f"{kind} {name}, which is wanted, comes", partial(space.get, kind, name))
    space.stack(
        models=[{**first, "source": "pvc://models/en"}],
        gateway={"auth": {"secretName": "ours"}, "autoscaling": {"minReplicas": 1}},
        autoscaling={"provider": "None"},
        networkIsolation={"enabled": False},
        observability={"podMonitor": {"enabled": False}},
    )
    for kind, name in (
        *OPTIONAL_CHILDREN,
        ("hpa", "demo-gateway"),
        ("poddisruptionbudget", "demo-gateway"),
        ("ingress", "demo-gateway"),
        ("networkpolicy", "demo-default-deny"),
        ("secret", "demo-api-keys"),
        ("deployment", "demo-asr-ml"),
        ("service", "demo-asr-ml"),
        ("configmap", "demo-model-store"),
    ):
        until(f"{kind} {name}, which is not wanted, goes", partial(_is_gone, space, kind, name))
    claim = "demo-model-store"  # it waits for whoever protects claims in use
    until("the claim goes", lambda: "deletionTimestamp" in str(space.get("pvc", claim) or "deletionTimestamp"))
    pod_on_a_node(space, "busy", names.labels("demo", names.GATEWAY), terminationGracePeriodSeconds=10_920)
    space.kubectl("delete", "streamingstack", "demo")
    space.kubectl("delete", "pod", "busy", "--wait=false")
    until("its gateway ends soon", lambda: '"deletionGracePeriodSeconds": 30' in json.dumps(space.get("pod", "busy")))
    space.kubectl("delete", "pod", "busy", "--force", "--grace-period=0")
    until("all is gone", lambda: not space.children())


def _is_gone(space: Namespace, kind: str, name: str) -> bool:
    return space.get(kind, name) is None


def _rights(rules: list[dict[str, list[str]]]) -> set[Right]:
    return {right for rule in rules for right in product(rule["apiGroups"], rule["resources"], rule["verbs"])}


def _asked(metrics: str) -> tuple[set[Right], set[Right]]:
    """The rights that the operator's requests needed: granted ones, and those that were refused."""
    used: set[Right] = set()
    refused: set[Right] = set()
    for line in metrics.splitlines():
        found = re.match(r'streaming_operator_api_requests_total{code="(\d+)",kind="(\w+)",verb="(\w+)"}', line)
        if not found:
            continue
        code, kind, verb = found.groups()
        plural = f"{KINDS[kind].plural}/status" if (kind, verb) == ("StreamingStack", "PATCH") else KINDS[kind].plural
        group = KINDS[kind].group
        (refused if code == "403" else used).add((group, plural, VERBS[verb]))
        if (verb, code) == ("PATCH", "201"):  # an apply that makes an object needs both
            used.add((group, plural, "create"))
    return used, refused


def test_a_watched_namespace_that_went_with_its_rights_holds_up_no_other(served: KubernetesApi, tmp_path: Path) -> None:
    space = make_namespace(served, "rights-left")
    _grant(space, "namespaces")
    with operator(_kubeconfig(space, tmp_path), tmp_path / "log", f"{space.name},rights-gone"):
        space.stack()
        space.until_made()
        space.kubectl("delete", "streamingstack", "demo")


def test_the_watch_of_stacks_is_tried_for_ever() -> None:
    """Where kopf's attempts end, the whole operator does."""
    pauses = list(islice(settings("pod").networking.error_backoffs, 1000))  # type: ignore[arg-type]
    assert len(pauses) == 1000
    assert max(pauses) <= 30


def test_no_rule_says_everything() -> None:
    for rule in RULES["namespaced"] + RULES["cluster"]:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not any("/" in group for group in rule["apiGroups"]), "a group, never a version"

"""The operator with the rights of `operator/rbac.yaml` and no others, in both shapes."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_cluster.kubernetes_api import KubernetesApi
from live_operator import Namespace, make_namespace, operator, until
from live_pods import node
from streaming_operator.handlers import settings
from streaming_operator.seen import DELETION_COST

pytest_plugins = ["e2e_cluster.testing", "live_fixtures"]
pytestmark = pytest.mark.cluster
RULES = yaml.safe_load((Path(__file__).parents[1] / "rbac.yaml").read_text())


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


@pytest.mark.parametrize("shape", ["cluster", "namespaces"])
def test_the_granted_rights_are_enough_for_a_life_of_a_stack(
    own_api: KubernetesApi, tmp_path: Path, shape: str
) -> None:
    space = make_namespace(own_api, f"rights-{shape}")
    _grant(space, shape)
    watched = "" if shape == "cluster" else space.name
    with operator(_kubeconfig(space, tmp_path), tmp_path / "log", watched, UNLISTED_SECONDS="0") as running:
        space.license()
        second = {"name": "ml", "speechModels": ["universal-streaming-ml"], "source": "hf://example/ml@v1"}
        first = {"name": "en", "speechModels": ["universal-streaming-en"], "source": "hf://example/en@v1"}
        space.stack(models=[first, second])
        space.until_condition("demo", "LicenseValid", "Valid")
        until("events are posted", lambda: "StreamingStack" in space.kubectl("get", "events", "-o", "json"))
        with node(own_api) as kubelet:
            busy, _ = kubelet.run_all(space, "demo-gateway", 2)
            kubelet.told[busy].sessions = 3
            until("a cost is written", lambda: DELETION_COST in str(space.get("pod", busy)))
        space.stack(models=[first], autoscaling={"provider": "None"})
        until("what is not wanted goes", lambda: space.get("hpa", "demo-gateway") is None)
        until("the empty pool goes", lambda: space.get("deployment", "demo-asr-ml") is None)
        space.kubectl("delete", "streamingstack", "demo")
        until("all is gone", lambda: not space.children())
        running.until_quiet()
        forbidden = [line for line in running.get("/metrics").splitlines() if 'code="403"' in line]
        asked = [line for line in forbidden if shape == "cluster" or not _is_optional(line)]
        assert asked == []
        assert "forbidden" not in running.log.read_text().lower()


def test_a_watched_namespace_that_went_with_its_rights_holds_up_no_other(
    own_api: KubernetesApi, tmp_path: Path
) -> None:
    space = make_namespace(own_api, "rights-left")
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


def _is_optional(line: str) -> bool:
    """What a namespace's rights never cover, and what the operator does without."""
    return 'kind="StorageClass"' in line or 'kind="Node"' in line


def test_no_rule_says_everything() -> None:
    for rule in RULES["namespaced"] + RULES["cluster"]:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not any("/" in group for group in rule["apiGroups"]), "a group, never a version"

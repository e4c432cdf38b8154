"""The operator in its own namespace, and stacks that it runs in another: what a user of both does and sees."""

import base64
import copy
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client
from kubernetes.client import V1Pod
from kubernetes.client.exceptions import ApiException
from live_namespace import LiveNamespace, is_ready, until
from plain_stack import MANIFESTS, STARTUP_SECONDS

ROOT = Path(__file__).parents[2]
GROUP, VERSION, PLURAL = "streamingstack.dev", "v1alpha1", "streamingstacks"
_RBAC = "rbac.authorization.k8s.io/v1"
_SETTLED_SECONDS = 90.0


def install(operator: LiveNamespace, watched: LiveNamespace, images: Mapping[str, str]) -> None:
    """The custom resource definition, the operator with its rights in `watched`; returns once it watches."""
    operator.apply(yaml.safe_load((ROOT / "crds" / "streamingstacks.yaml").read_text()))
    rules = yaml.safe_load((ROOT / "operator" / "rbac.yaml").read_text())["namespaced"]
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": operator.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    watched.apply(
        {"apiVersion": _RBAC, "kind": "Role", "metadata": {"name": "operator"}, "rules": rules},
        {
            "apiVersion": _RBAC,
            "kind": "RoleBinding",
            "metadata": {"name": "operator"},
            "roleRef": role,
            "subjects": [account],
        },
    )
    operator.apply_file(MANIFESTS / "operator.yaml", WATCHED=watched.name, **images)
    operator.await_ready("operator", 1, STARTUP_SECONDS)


def issue_license(namespace: LiveNamespace, folder: Path) -> None:
    """The Secret `license` and the ConfigMap `license-keys`, from the command that issuers use."""
    namespace.secret("license", {"license.jwt": issued(folder)})
    keys = {"public-keys.json": (folder / "public-keys.json").read_text()}
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "license-keys"}, "data": keys})


def issued(folder: Path) -> str:
    """A licence, signed with the key in a folder; the key is made where there is none."""
    token = folder / "license.jwt"
    issue = ["license", "issue", "--development", f"--out={token}", f"--keys-dir={folder}"]
    subprocess.run(
        [str(Path(sys.executable).parent / "streamingstack"), *issue], check=True, capture_output=True, timeout=60
    )
    return token.read_text()


@dataclass(frozen=True)
class OperatedStack:
    """One StreamingStack by its name."""

    namespace: LiveNamespace
    name: str

    @property
    def host(self) -> str:
        """Its name at the ingress."""
        return f"{self.name}-{self.namespace.name}.{self.namespace.door.domain}"

    def create(self, spec: Mapping[str, Any]) -> None:
        """ApiException where the API server refuses it."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "StreamingStack",
            "metadata": {"name": self.name},
            "spec": spec,
        }
        self._api.create_namespaced_custom_object(GROUP, VERSION, self.namespace.name, PLURAL, body)

    def patch(self, spec: Mapping[str, Any]) -> None:
        """A merge patch of the spec."""
        self._api.patch_namespaced_custom_object(
            GROUP, VERSION, self.namespace.name, PLURAL, self.name, {"spec": dict(spec)}
        )

    def spec(self) -> dict[str, Any]:
        """Its spec as it is now."""
        found = self._api.get_namespaced_custom_object(GROUP, VERSION, self.namespace.name, PLURAL, self.name)
        return dict(found["spec"])

    def delete(self) -> None:
        """In the background, as kubectl does."""
        self._api.delete_namespaced_custom_object(GROUP, VERSION, self.namespace.name, PLURAL, self.name)

    def condition(self, type_: str) -> Mapping[str, Any]:
        """A condition of its status; empty while there is none of the present generation."""
        found = self._api.get_namespaced_custom_object(GROUP, VERSION, self.namespace.name, PLURAL, self.name)
        status, generation = found.get("status", {}), found["metadata"]["generation"]
        if status.get("observedGeneration") != generation:
            return {}
        return next((c for c in status.get("conditions", []) if c["type"] == type_), {})

    def await_condition(self, type_: str, status: str, seconds: float, reason: str | None = None) -> Mapping[str, Any]:
        """The condition once it is so."""

        def holds() -> Mapping[str, Any] | None:
            found = self.condition(type_)
            return found if found.get("status") == status and reason in (None, found["reason"]) else None

        return until(f"{self.name} is {type_}={status}", holds, seconds, otherwise=self.tell)

    def first_key(self) -> str:
        """The API key that the operator made."""
        secret = self.namespace.core.read_namespaced_secret(f"{self.name}-first-key", self.namespace.name)
        return base64.b64decode(secret.data["api-key"]).decode()

    def pods(self, component: str) -> list[V1Pod]:
        """Pods of a part that are not being deleted."""
        selector = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        found = self.namespace.core.list_namespaced_pod(self.namespace.name, label_selector=selector).items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]

    def ready_pods(self, component: str) -> list[V1Pod]:
        """Those that are Ready."""
        return [pod for pod in self.pods(component) if is_ready(pod)]

    def children(self) -> set[str]:
        """Kind/name of all that is labelled as a child of the stack, claims of the licence proxies left out."""
        apps, networking = self.namespace.apps, client.NetworkingV1Api(self.namespace.api)
        lists = {
            "ConfigMap": self.namespace.core.list_namespaced_config_map,
            "Secret": self.namespace.core.list_namespaced_secret,
            "Service": self.namespace.core.list_namespaced_service,
            "Pod": self.namespace.core.list_namespaced_pod,
            "Deployment": apps.list_namespaced_deployment,
            "StatefulSet": apps.list_namespaced_stateful_set,
            "NetworkPolicy": networking.list_namespaced_network_policy,
        }
        selector = f"app.kubernetes.io/instance={self.name}"
        return {
            f"{kind}/{item.metadata.name}"
            for kind, listed in lists.items()
            for item in listed(self.namespace.name, label_selector=selector).items
        }

    def tell(self) -> str:
        """What a person needs: conditions, states of pods."""
        found = self._api.get_namespaced_custom_object(GROUP, VERSION, self.namespace.name, PLURAL, self.name)
        lines = [json.dumps(c) for c in found.get("status", {}).get("conditions", [])]
        selector = f"app.kubernetes.io/instance={self.name}"
        for pod in self.namespace.core.list_namespaced_pod(self.namespace.name, label_selector=selector).items:
            states = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
            lines += [f"{pod.metadata.name} {s.name} ready={s.ready} restarts={s.restart_count}" for s in states]
        return "\n".join([*lines, self.namespace.tell("operator")])

    @property
    def _api(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(self.namespace.api)


def mirror(namespace: LiveNamespace, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """A web server in the cluster with the English model: its files, as `models[].files` names them."""
    namespace.apply_file(MANIFESTS / "mirror.yaml", **images)
    namespace.await_ready("mirror")
    listed = namespace.run_in("mirror", "sh", "-c", "cd /models/en-default && sha256sum *")
    pairs = [line.split() for line in listed.splitlines()]
    url = f"http://mirror.{namespace.name}.svc.cluster.local:8000/en-default"
    return [{"path": path, "parts": [f"{url}/{path}"], "sha256": digest} for digest, path in pairs]


def example(name: str, files: list[dict[str, Any]]) -> dict[str, Any]:
    """The spec of an example, small, with its English model alone, from a mirror."""
    spec: dict[str, Any] = copy.deepcopy(yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text())["spec"])
    english = next(model for model in spec["models"] if model["name"] == "en-default")
    del english["source"]
    english |= {"files": files, "autoscaling": {"minReplicas": 2}}
    english["resources"] = {"requests": {"cpu": "50m", "memory": "512Mi"}}
    return {
        "models": [english],
        "autoscaling": {"provider": "None"},
        "gateway": {
            "autoscaling": {"minReplicas": 1},
            "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
        },
        "modelStore": {"storage": {"size": "1Gi"}},
        "loadBalancer": {"replicas": 1, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
        "licenseProxy": {"replicas": 1, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
    }


def through_gateway(stack: OperatedStack, listener: str | None = "https") -> dict[str, Any]:
    """`spec.gateway.expose` for the cluster's Gateway: its HTTPS listener, or every one."""
    namespace, name = stack.namespace.door.gateway.split("/")
    parent = {"name": name, "namespace": namespace, **({"sectionName": listener} if listener else {})}
    return {"type": "HTTPRoute", "hostnames": [stack.host], "parentRefs": [parent]}


def through_ingress(stack: OperatedStack, host: str) -> dict[str, Any]:
    """`spec.gateway.expose` for the cluster's Ingress class, as a merge patch over the above."""
    door = stack.namespace.door
    pair = {"tls.crt": door.tls_certificate.read_text(), "tls.key": door.tls_key.read_text()}
    stack.namespace.secret("ingress-tls", pair, "kubernetes.io/tls")
    ingress = {"ingressClassName": door.ingress_class, "tls": {"secretName": "ingress-tls"}}
    return {"type": "Ingress", "hostnames": [host], "parentRefs": None, **ingress}


def is_gone(stack: OperatedStack) -> bool:
    """Whether the object is no longer there."""
    try:
        stack.condition("Ready")
    except ApiException as refused:
        return bool(refused.status == 404)
    return False

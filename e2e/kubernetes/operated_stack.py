"""The operator in its own namespace, and stacks that it runs in another: what a user of both does and sees."""

import base64
import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from command_line import streamingstack
from kubernetes import client
from kubernetes.client import V1Pod
from kubernetes.client.exceptions import ApiException
from license_token import development_claims, issue, load_signing_key
from live_namespace import LiveNamespace, is_ready, until
from plain_stack import MANIFESTS, STARTUP_SECONDS
from streaming_operator import names

ROOT = Path(__file__).parents[2]
GROUP, VERSION, PLURAL = "streamingstack.dev", "v1alpha1", "streamingstacks"
_RBAC = "rbac.authorization.k8s.io/v1"


def install(operator: LiveNamespace, watched: LiveNamespace, images: Mapping[str, str], *others: LiveNamespace) -> None:
    """The custom resource definition, the operator with its rights in what it watches; returns once it watches."""
    operator.apply(yaml.safe_load((ROOT / "crds" / "streamingstacks.yaml").read_text()))
    rules = yaml.safe_load((ROOT / "operator" / "rbac.yaml").read_text())["namespaced"]
    account = {"kind": "ServiceAccount", "name": "operator", "namespace": operator.name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    bound = {"roleRef": role, "subjects": [account]}
    for space in (watched, *others):
        space.apply(
            {"apiVersion": _RBAC, "kind": "Role", "metadata": {"name": "operator"}, "rules": rules},
            {"apiVersion": _RBAC, "kind": "RoleBinding", "metadata": {"name": "operator"}, **bound},
        )
    spaces = ",".join(space.name for space in (watched, *others))
    operator.apply_file(MANIFESTS / "operator.yaml", WATCHED=spaces, **images)
    operator.await_ready("operator", 1, STARTUP_SECONDS)


def issue_license(namespace: LiveNamespace, folder: Path) -> None:
    """The Secret `license` and the ConfigMap `license-keys`, from the command that issuers use."""
    token = folder / "license.jwt"
    namespace.secret("license", {"license.jwt": token.read_text() if token.exists() else issued(folder)})
    keys = {"public-keys.json": (folder / "public-keys.json").read_text()}
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "license-keys"}, "data": keys})


def issued(folder: Path) -> str:
    """A licence, signed with the key in a folder; the key is made where there is none."""
    token = folder / "license.jwt"
    told = streamingstack("license", "issue", "--development", f"--out={token}", f"--keys-dir={folder}")
    assert told.returncode == 0, told.stderr
    return token.read_text()


def ending(folder: Path, seconds: float) -> str:
    """A licence of the same issuer that ends so soon; no command makes one."""
    key, now = load_signing_key(folder / "signing-key.jwk"), datetime.now(UTC)
    claims = development_claims("e2e", now - timedelta(days=1), timedelta(days=1, seconds=seconds))
    return issue(claims, key.private_key, key.key_id)


@dataclass(frozen=True)
class OperatedStack:
    """One StreamingStack by its name; `hostname` where it has another than the usual at the ingress."""

    namespace: LiveNamespace
    name: str
    hostname: str | None = None

    @property
    def host(self) -> str:
        """Its name at the ingress."""
        return self.hostname or f"{self.name}-{self.namespace.name}.{self.namespace.door.domain}"

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

    def delete(self, propagation: str = "Background") -> None:
        """As kubectl does, or in the foreground: what it owns first."""
        self._api.delete_namespaced_custom_object(
            GROUP, VERSION, self.namespace.name, PLURAL, self.name, propagation_policy=propagation
        )

    def read(self) -> dict[str, Any]:
        """The object; ApiException with status 404 where it is gone."""
        found: dict[str, Any] = self._api.get_namespaced_custom_object(
            GROUP, VERSION, self.namespace.name, PLURAL, self.name
        )
        return found

    def phase(self, model: str) -> str | None:
        """Where a model's pool is; None for a model that the status does not have."""
        models = self.read().get("status", {}).get("models", [])
        return next((str(found["phase"]) for found in models if found["name"] == model), None)

    def spec(self) -> dict[str, Any]:
        """Its spec as it is now."""
        return dict(self.read()["spec"])

    def condition(self, type_: str) -> Mapping[str, Any]:
        """A condition of its status; empty while there is none of the present generation."""
        found = self.read()
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

    def everything(self, component: str, model: str | None = None) -> list[V1Pod]:
        """Pods of a part, or of one model's pool, those that are being deleted too."""
        selector = f"{names.INSTANCE}={self.name},{names.COMPONENT}={component}"
        selector += f",{names.POOL}={model}" if model else ""
        return list(self.namespace.core.list_namespaced_pod(self.namespace.name, label_selector=selector).items)

    def pods(self, component: str, model: str | None = None) -> list[V1Pod]:
        """Those that are not being deleted."""
        return [pod for pod in self.everything(component, model) if pod.metadata.deletion_timestamp is None]

    def ready_pods(self, component: str, model: str | None = None) -> list[V1Pod]:
        """Those that are Ready."""
        return [pod for pod in self.pods(component, model) if is_ready(pod)]

    def children(self) -> set[str]:
        """Kind/name of all that is labelled as a child of the stack, claims of the licence proxies left out."""
        core, apps, networking = self.namespace.core, self.namespace.apps, client.NetworkingV1Api(self.namespace.api)
        lists = {
            "ConfigMap": core.list_namespaced_config_map,
            "Secret": core.list_namespaced_secret,
            "Service": core.list_namespaced_service,
            "Pod": core.list_namespaced_pod,
            "Deployment": apps.list_namespaced_deployment,
            "StatefulSet": apps.list_namespaced_stateful_set,
            "NetworkPolicy": networking.list_namespaced_network_policy,
            "Ingress": networking.list_namespaced_ingress,
            "PodDisruptionBudget": client.PolicyV1Api(self.namespace.api).list_namespaced_pod_disruption_budget,
            "HorizontalPodAutoscaler": (
                client.AutoscalingV2Api(self.namespace.api).list_namespaced_horizontal_pod_autoscaler
            ),
        }
        selector = f"{names.INSTANCE}={self.name}"
        found = {
            f"{kind}/{item.metadata.name}"
            for kind, listed in lists.items()
            for item in listed(self.namespace.name, label_selector=selector).items
        }
        routes = self._api.list_namespaced_custom_object(
            "gateway.networking.k8s.io", "v1", self.namespace.name, "httproutes", label_selector=selector
        )
        return found | {f"HTTPRoute/{item['metadata']['name']}" for item in routes["items"]}

    def tell(self) -> str:
        """What a person needs: conditions, states of pods."""
        lines = [json.dumps(c) for c in self.read().get("status", {}).get("conditions", [])]
        selector = f"{names.INSTANCE}={self.name}"
        for pod in self.namespace.core.list_namespaced_pod(self.namespace.name, label_selector=selector).items:
            states = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
            lines += [f"{pod.metadata.name} {s.name} ready={s.ready} restarts={s.restart_count}" for s in states]
        return "\n".join([*lines, self.namespace.tell("operator")])

    @property
    def _api(self) -> client.CustomObjectsApi:
        return client.CustomObjectsApi(self.namespace.api)


def mirror(namespace: LiveNamespace, images: Mapping[str, str]) -> dict[str, list[dict[str, Any]]]:
    """A web server in the cluster with the test models: the files of each by its name, as `models[].files` has them."""
    namespace.apply_file(MANIFESTS / "mirror.yaml", **images)
    namespace.await_ready("mirror")
    listed = namespace.run_in("mirror", "sh", "-c", "cd /models && sha256sum */*")
    url = mirror_url(namespace)
    files: dict[str, list[dict[str, Any]]] = {}
    for digest, where in (line.split() for line in listed.splitlines()):
        model, _, path = where.partition("/")
        files.setdefault(model, []).append({"path": path, "parts": [f"{url}/{where}"], "sha256": digest})
    return files


def mirror_url(namespace: LiveNamespace) -> str:
    """Where it is."""
    return f"http://mirror.{namespace.name}.svc.cluster.local:8000"


def example(name: str, mirrored: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The spec of an example as it is written, but for two things: its files come from a mirror, and its pods ask for
    less, as all of them share one small machine. KeyError where the mirror has not the very files."""
    spec: dict[str, Any] = copy.deepcopy(yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text())["spec"])
    parts = {file["sha256"]: file["parts"] for files in mirrored.values() for file in files}
    for model in spec["models"]:
        model["resources"] = _requests("50m", "512Mi")
        if model.pop("source", None):
            model["files"] = mirrored[model["name"]]
        else:
            model["files"] = [{**file, "parts": parts[file["sha256"]]} for file in model["files"]]
    return {
        **spec,
        "gateway": {"resources": _requests("50m", "128Mi")},
        "modelStore": {"storage": {"size": "1Gi"}, "resources": _requests("20m", "64Mi")},
        "loadBalancer": {"resources": _requests("20m", "64Mi")},
        "licenseProxy": {"resources": _requests("20m", "64Mi")},
    }


def small(images: Mapping[str, str], expose: Mapping[str, Any]) -> dict[str, Any]:
    """A stack of one pod each, with the English model out of an image."""
    model = {
        "name": "en-default",
        "speechModels": ["universal-streaming-english"],
        "source": f"image://{images['IMAGE_MODELS']}/models/en-default",
        "resources": _requests("50m", "512Mi"),
    }
    few = {"replicas": 1, "resources": _requests("20m", "64Mi")}
    return {
        "models": [model],
        "autoscaling": {"provider": "None"},
        "gateway": {"autoscaling": {"minReplicas": 1}, "resources": few["resources"], "expose": dict(expose)},
        "loadBalancer": few,
        "licenseProxy": few,
    }


def _requests(cpu: str, memory: str) -> dict[str, Any]:
    return {"requests": {"cpu": cpu, "memory": memory}}


def through_gateway(stack: OperatedStack, listener: str | None = "https") -> dict[str, Any]:
    """`spec.gateway.expose` for the cluster's Gateway: its HTTPS listener, or every one."""
    namespace, name = stack.namespace.door.gateway.split("/")
    parent = {"name": name, "namespace": namespace, **({"sectionName": listener} if listener else {})}
    return {"type": "HTTPRoute", "hostnames": [stack.host], "parentRefs": [parent]}


def through_ingress(stack: OperatedStack) -> dict[str, Any]:
    """`spec.gateway.expose` for the cluster's Ingress class, as a merge patch over the above."""
    door = stack.namespace.door
    pair = {"tls.crt": door.tls_certificate.read_text(), "tls.key": door.tls_key.read_text()}
    stack.namespace.secret("ingress-tls", pair, "kubernetes.io/tls")
    ingress = {"ingressClassName": door.ingress_class, "tls": {"secretName": "ingress-tls"}}
    return {"type": "Ingress", "hostnames": [stack.host], "parentRefs": None, **ingress}


def is_gone(stack: OperatedStack) -> bool:
    """Whether the object is no longer there."""
    try:
        stack.read()
    except ApiException as refused:
        return bool(refused.status == 404)
    return False

"""One object that has every field, and what breaks each rule and bound of the definition in it."""

import copy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
Document = dict[str, Any]
SHA = "0" * 64

WHOLE: Document = {
    "apiVersion": "streamingstack.dev/v1alpha1",
    "kind": "StreamingStack",
    "metadata": {"name": "demo"},
    "spec": {
        "license": {"secretName": "license"},
        "gateway": {
            "auth": {"mode": "Keys", "secretName": "api-keys", "singleUseTokens": True},
            "maxSessionSeconds": 600,
            "sessions": {"targetPerPod": 24, "maxPerPod": 48},
            "defaultSpeechModel": "u3-pro",
            "autoscaling": {"minReplicas": 2, "maxReplicas": 20},
            "expose": {
                "type": "HTTPRoute",
                "hostnames": ["stt.example.com"],
                "parentRefs": [{"name": "public", "namespace": "ingress", "sectionName": "https"}],
                "annotations": {"example.com/team": "speech"},
            },
            "resources": {"requests": {"cpu": 1, "memory": "2Gi"}},
            "pods": {
                "labels": {"team": "speech"},
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"key": "dedicated", "value": "speech", "effect": "NoExecute", "tolerationSeconds": 9}],
                "affinity": {"nodeAffinity": {"anything": [1, {"goes": True}]}},
                "env": [{"name": "LOGGING_LEVEL", "value": "debug"}],
            },
        },
        "licenseProxy": {
            "checkInEndpoint": "https://license.example.com",
            "usage": {"endpoint": "https://usage.example.com/v1", "apiKeySecretName": "usage-key"},
            "storage": {"size": "1Gi", "storageClassName": "fast"},
        },
        "models": [
            {
                "name": "u3-pro",
                "routeAliases": ["universal-3-5-pro"],
                "speechModels": ["u3-pro", "universal-3-5-pro"],
                "source": "hf://owner/model@v1",
                "gpu": {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-L40S"}, "runtimeClassName": "nvidia"},
                "streams": {"targetPerPod": 28, "maxPerPod": 40},
                "autoscaling": {"minReplicas": 1, "maxReplicas": 4},
            },
            {
                "name": "en-default",
                "speechModels": ["universal-streaming-english"],
                "files": [{"path": "model.bin", "parts": ["https://models.example.com/a"], "sha256": SHA}],
            },
        ],
        "networkIsolation": {"egressCidrs": ["192.0.2.0/24"], "proxyUrl": "http://proxy.example.com:3128"},
        "images": {"registry": "registry.example.com/speech", "pullSecrets": ["registry"]},
        "observability": {"podMonitor": {"labels": {"release": "prometheus"}}},
        "syncApi": {"enabled": True, "replicas": 3, "resources": {"limits": {"memory": "2Gi"}}},
    },
}


def at(document: Document, path: str) -> tuple[Any, Any]:
    """The container of the field at a dotted path, made where it is not there, and the field's key in it."""
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    node: Any = document
    for step in steps:
        node = node[step] if isinstance(step, int) else node.setdefault(step, {})
    return node, last


def changed(changes: Document, base: Document = WHOLE) -> Document:
    """`base` with fields set, or taken out where the value is Ellipsis."""
    document = copy.deepcopy(base)
    for path, value in changes.items():
        node, key = at(document, path)
        if value is ...:
            node.pop(key, None)
        else:
            node[key] = value
    return document


VENDOR = {f"spec.images.overrides.{part}": "registry.example.com/x:1" for part in ("gateway", "licenseProxy")}

# What breaks each rule, by the beginning of its message.
BROKEN: dict[str, Document] = {
    "metadata.name: begin with a letter": {"metadata.name": "1demo"},
    "metadata.name: use at most 38": {"metadata.name": "d" * 39},
    "spec.models[].name: together": {"metadata.name": "d" * 30, "spec.models.0.name": "m" * 29},
    "models[].routeAliases: a route leads": {"spec.models.1.routeAliases": ["u3-pro"]},
    "models[].routeAliases: the model's own": {"spec.models.1.routeAliases": ["en-default"]},
    "models[].speechModels: a speech model": {
        "spec.models.1.speechModels": ["u3-pro"],
    },
    "models[].speechModels: begin every name": {"spec.models.1.speechModels": ["universal-streaming-english", "u3-x"]},
    "models[]: set source, or files": {"spec.models.1.files": ...},
    "models[]: set source or files, not both": {"spec.models.1.source": "pvc://models/en"},
    "models[].image: with images.flavour: Vendor": {"spec.images.flavour": "Vendor", **VENDOR},
    "images.overrides: flavour: Vendor": {
        "spec.images.flavour": "Vendor",
        "spec.models.0.image": "registry.example.com/x:1",
        "spec.models.1.image": "registry.example.com/x:1",
    },
    "models[].streams.targetPerPod must not": {"spec.models.0.streams": {"maxPerPod": 5}},
    "models[].autoscaling.minReplicas must not": {"spec.models.0.autoscaling": {"minReplicas": 9}},
    "gateway.defaultSpeechModel:": {"spec.gateway.defaultSpeechModel": "universal-streaming-multilingual"},
    "gateway.auth.secretName:": {"spec.gateway.auth": {"mode": "AnyNonEmpty", "secretName": "api-keys"}},
    "gateway.auth.singleUseTokens:": {"spec.gateway.auth": {"mode": "AnyNonEmpty", "singleUseTokens": True}},
    "gateway.sessions.targetPerPod must not": {"spec.gateway.sessions": {"targetPerPod": 49}},
    "gateway.autoscaling.minReplicas must not": {"spec.gateway.autoscaling": {"maxReplicas": 1}},
    "gateway.expose.parentRefs:": {"spec.gateway.expose": {"type": "HTTPRoute"}},
    "gateway.expose.ingressClassName and": {"spec.gateway.expose.ingressClassName": "contour"},
    "gateway.expose.hostnames:": {"spec.gateway.expose": {"type": "Ingress", "tls": {"secretName": "tls"}}},
    "licenseProxy.usage.apiKeySecretName:": {"spec.licenseProxy.usage": {"apiKeySecretName": "usage-key"}},
    "tls.internal.secretName:": {"spec.tls": {"internal": {"secretName": "tls"}}},
    "observability.tracing.endpoint:": {"spec.observability": {"tracing": {"endpoint": "http://otel.example.com"}}},
    "syncApi.enabled:": {
        "spec.syncApi": {"enabled": True},
        "spec.images.flavour": "Vendor",
        **VENDOR,
        "spec.models.0.image": "registry.example.com/x:1",
        "spec.models.1.image": "registry.example.com/x:1",
    },
    "tolerations: set key": {"spec.gateway.pods.tolerations": [{"value": "x"}]},
    "tolerations: value": {"spec.models.0.gpu.tolerations": [{"key": "x", "operator": "Exists", "value": "x"}]},
    "tolerations: tolerationSeconds": {"spec.loadBalancer.pods.tolerations": [{"key": "x", "tolerationSeconds": 1}]},
    "env: NVIDIA_VISIBLE_DEVICES": {
        "spec.models.0.pods": {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}
    },
    "pods.labels:": {"spec.modelStore.pods": {"labels": {"app.kubernetes.io/name": "x"}}},
}

# What breaks a bound that is no rule, with a word of the types' refusal; the API server names the field.
OUT_OF_BOUNDS: dict[str, tuple[Document, str]] = {
    "spec.gateway.maxSessionSeconds": ({"spec.gateway.maxSessionSeconds": 10_801}, "10800"),
    "spec.gateway.expose.hostnames[0]": ({"spec.gateway.expose.hostnames": ["STT"]}, "DNS name"),
    "spec.gateway.resources.requests.cpu": ({"spec.gateway.resources.requests.cpu": "lots"}, "amount"),
    "spec.license.secretName": ({"spec.license.secretName": "A_B"}, "name of an object"),
    "spec.licenseProxy.checkInEndpoint": ({"spec.licenseProxy.checkInEndpoint": "https://me:key@x"}, "user, password"),
    "spec.models[0].engine": ({"spec.models.0.engine": "NemoBuffered"}, "Whisper"),
    "spec.models[0].source": ({"spec.models.0.source": "hf://owner/model"}, "hf://owner/model@revision"),
    "spec.licenseProxy.usage.endpoint": ({"spec.licenseProxy.usage.endpoint": "https://a:99999"}, "names a host"),
    "spec.models[1].files[0].parts[0]": ({"spec.models.1.files.0.parts": ["https://[/x"]}, "https://host/path"),
    "spec.models[1].files[0].path": ({"spec.models.1.files.0.path": "../x"}, "inside the model's folder"),
    "spec.models[1].files[0].sha256": ({"spec.models.1.files.0.sha256": "0" * 63}, "sha256"),
    "spec.models[1]": ({"spec.models.1.name": "u3-pro", "metadata.name": "d"}, "appears twice"),
    "spec.networkIsolation.egressCidrs[0]": ({"spec.networkIsolation.egressCidrs": ["192.0.2.0/33"]}, "range"),
    "spec.networkIsolation.proxyUrl": ({"spec.networkIsolation.proxyUrl": "http://p:70000"}, "1 to 65535"),
    "spec.images.registry": ({"spec.images.registry": "https://registry.example.com"}, "no scheme"),
    "spec.gatway": ({"spec.gatway": {}}, "gatway"),
}


# What the definition offers and every version so far refuses: the field as `kubectl explain` names it, the change that
# asks for it, and the remedy that the refusal names.
UNSERVED: dict[str, tuple[Document, str]] = {
    "models.engine": ({"spec.models.0.engine": "NemoBuffered"}, "Whisper"),
    "tls.internal.secretName": ({"spec.tls": {"internal": {"secretName": "tls"}}}, "leave it out"),
    "observability.tracing.endpoint": (
        {"spec.observability": {"tracing": {"endpoint": "http://otel.example.com"}}},
        "leave it out",
    ),
}

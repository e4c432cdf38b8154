"""The cluster's DNS: CoreDNS in pods, at the Service address that every kubelet knows."""

import hashlib
from typing import Any

from dnslib import QTYPE, RCODE, DNSRecord

from e2e_cluster.plan import ClusterPlan

IMAGE = "registry.k8s.io/coredns/coredns:v1.15.0"
_LABELS = {"k8s-app": "kube-dns"}
_NAMES = {"name": "coredns", "namespace": "kube-system"}


def corefile(plan: ClusterPlan) -> str:
    """CoreDNS's configuration: the cluster's names, and a quick "no such name" for all others."""
    return f"""\
{plan.domain}:1053 in-addr.arpa:1053 ip6.arpa:1053 {{
    errors
    health :8080
    ready :8181
    prometheus :9153
    kubernetes {plan.domain} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
}}
.:1053 {{
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def documents(plan: ClusterPlan) -> list[dict[str, Any]]:
    """All objects of the DNS."""
    subject = {"kind": "ServiceAccount", **_NAMES}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _NAMES},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "subjects": [subject],
            "roleRef": role,
        },
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _NAMES, "data": {"Corefile": corefile(plan)}},
        _deployment(corefile(plan)),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": _LABELS},
            "spec": {
                "clusterIP": str(plan.dns),
                "selector": _LABELS,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": "dns-tcp"},
                ],
            },
        },
    ]


def answers(plan: ClusterPlan) -> bool:
    """Whether the DNS answers a question for the API server's name at its Service address."""
    question = DNSRecord.question(f"kubernetes.default.svc.{plan.domain}")
    try:
        answer = DNSRecord.parse(question.send(str(plan.dns), 53, timeout=2))
    except OSError:
        return False
    return answer.header.rcode == RCODE.NOERROR and any(
        record.rtype == QTYPE.A and str(record.rdata) == str(plan.api_service) for record in answer.rr
    )


def _deployment(configuration: str) -> dict[str, Any]:
    # A changed configuration makes new pods.
    digest = hashlib.sha256(configuration.encode()).hexdigest()[:16]
    container = {
        "name": "coredns",
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 1053, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 1053, "protocol": "TCP"},
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "30Mi"}, "limits": {"memory": "170Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "timeoutSeconds": 5},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _LABELS},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**_NAMES, "labels": _LABELS},
        "spec": {
            # One on each of two nodes, so that a node that is cut off does not take the names with it.
            "replicas": 2,
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS, "annotations": {"e2e-cluster/configuration": digest}},
                "spec": {
                    "serviceAccountName": "coredns",
                    "priorityClassName": "system-cluster-critical",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65534,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "topologySpreadConstraints": [spread],
                    "containers": [container],
                    "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                },
            },
        },
    }

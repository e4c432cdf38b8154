"""The cluster's DNS: CoreDNS in pods, at the Service address that every kubelet knows."""

import hashlib
from pathlib import Path

from dnslib import QTYPE, RCODE, DNSRecord

from e2e_cluster.plan import ClusterPlan

IMAGE = "registry.k8s.io/coredns/coredns:v1.13.2"
_MANIFEST = Path(__file__).parents[2] / "manifests" / "dns.yaml"


def manifest(plan: ClusterPlan) -> str:
    """All objects of the DNS; a changed manifest makes new pods."""
    text = _MANIFEST.read_text()
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return text.replace("@DNS@", str(plan.dns)).replace("@IMAGE@", IMAGE).replace("@DIGEST@", digest)


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

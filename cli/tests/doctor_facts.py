"""A cluster and a stack as plain values, for tests of the doctor."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from license_token import SigningKey, development_claims, issue
from stack_model.api import StreamingStack, read_stack
from streamingstack_cli.doctor.examination import examine
from streamingstack_cli.doctor.facts import Facts, Finding, Level

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KINDS = frozenset(
    {
        "streamingstack.dev/v1alpha1/StreamingStack",
        "gateway.networking.k8s.io/v1/HTTPRoute",
        "keda.sh/v1alpha1/ScaledObject",
        "monitoring.coreos.com/v1/PodMonitor",
        "custom.metrics.k8s.io/v1beta2",
        "crd.projectcalico.org/v1/ClusterInformation",
    }
)


ENGLISH: dict[str, Any] = {"name": "en-default", "speechModels": ["universal-streaming-english"]}
VENDOR: dict[str, Any] = {
    "images": {
        "flavour": "Vendor",
        "overrides": {"gateway": "registry.example/gateway:1", "licenseProxy": "registry.example/proxy:1"},
    },
    "gateway": {"auth": {"mode": "AnyNonEmpty"}},
    "models": [{**ENGLISH, "image": "registry.example/en:1"}],
}


def stack_with(**spec: Any) -> StreamingStack:
    model: dict[str, Any] = {
        "name": "en-default",
        "speechModels": ["universal-streaming-english"],
        "source": "hf://owner/m@main",
    }
    model["autoscaling"] = {"minReplicas": 2}
    wanted = {
        "models": [model],
        "networkIsolation": {"egressCidrs": ["198.18.0.0/24"]},
        "gateway": {"expose": {"type": "HTTPRoute", "parentRefs": [{"name": "public"}]}},
    }
    return read_stack(
        {
            "apiVersion": "streamingstack.dev/v1alpha1",
            "kind": "StreamingStack",
            "metadata": {"name": "demo", "namespace": "speech"},
            "spec": {**wanted, **spec},
        }
    )


def issued(license_issuer: Any, **claims: Any) -> Mapping[str, Mapping[str, bytes] | None]:
    token, keys = license_issuer(**claims)
    return {"Secret/license": {"license.jwt": token}, "ConfigMap/license-keys": {"public-keys.json": keys}}


@pytest.fixture
def license_issuer() -> Any:
    own = SigningKey.generate()

    def make(*, days: float = 90, by: SigningKey | None = None) -> tuple[bytes, bytes]:
        key = by or own
        now = datetime.now(UTC) - timedelta(days=100)
        claims = development_claims("c", now, timedelta(days=100 + days))
        return issue(claims, key.private_key, own.key_id).encode(), own.public_keys().to_json().encode()

    return make


@pytest.fixture
def well(license_issuer: Any) -> Facts:
    """A cluster that lacks nothing for `stack_with()`."""
    return Facts(
        stack=stack_with(),
        namespace="speech",
        version=(1, 34),
        kinds=KINDS,
        storage_classes={"standard": True},
        ingress_classes={"contour": True},
        gateways={"speech/public": frozenset({"https"})},
        data=issued(license_issuer),
        nodes=(),
        workloads={},
        quotas=(),
    )


def findings(facts: Facts) -> list[Finding]:
    return examine(facts, datetime.now(UTC))


def the_only(facts: Facts, level: Level) -> Finding:
    found = [finding for finding in findings(facts) if finding.level is level]
    assert len(found) == 1, found
    return found[0]

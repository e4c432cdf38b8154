"""The StreamingStack object: what may be left out, what is refused, and how the refusal reads."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from stack_model.api import (
    Condition,
    ConditionType,
    GatewayStatus,
    Gpu,
    LicenseStatus,
    Model,
    ModelPhase,
    ModelStatus,
    Reason,
    Resources,
    StackError,
    StackStatus,
    StreamingStack,
    load_stack,
    read_stack,
)

ENGLISH = {"name": "en-default", "speechModels": ["universal-streaming-english"], "source": "pvc://models/en"}


def document(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "streamingstack.dev/v1alpha1",
        "kind": "StreamingStack",
        "metadata": {"name": "demo", "uid": "1", "labels": {"team": "speech"}},
        "spec": {"models": [ENGLISH], **spec},
    }


def test_a_model_with_a_source_is_a_whole_stack() -> None:
    spec = read_stack(document()).spec
    assert spec.license.secret_name == "license"
    assert (spec.gateway.autoscaling.min_replicas, spec.gateway.expose.type) == (2, "None")
    assert (spec.license_proxy.storage.size, spec.model_store.storage.size) == ("1Gi", "20Gi")
    assert spec.network_isolation.enabled
    assert spec.autoscaling.provider == "HPA"


def test_a_null_means_absent_as_it_does_to_the_api_server() -> None:
    assert read_stack(document(gateway={"auth": None, "maxSessionSeconds": None}, images=None)) == read_stack(
        document()
    )


def test_nothing_is_converted_so_that_a_file_means_the_same_everywhere() -> None:
    with pytest.raises(StackError, match=r"spec\.gateway\.maxSessionSeconds: .*integer"):
        read_stack(document(gateway={"maxSessionSeconds": "600"}))
    with pytest.raises(StackError, match=r"spec\.networkIsolation\.enabled: .*boolean"):
        read_stack(document(networkIsolation={"enabled": "yes"}))


def test_an_amount_may_be_written_as_a_number() -> None:
    stack = read_stack(document(gateway={"resources": {"requests": {"cpu": 2, "memory": "1.5Gi"}}}))
    assert stack.spec.gateway.resources == Resources(requests={"cpu": "2", "memory": "1.5Gi"})


@pytest.mark.parametrize(
    ("gpu", "rollout", "cpu", "memory"),
    [(None, "Surge", "500m", "1Gi"), (Gpu(), "Replace", "4", "16Gi")],
)
def test_what_a_model_leaves_out_follows_its_hardware(gpu: Gpu | None, rollout: str, cpu: str, memory: str) -> None:
    model = Model(name="en", speech_models=["universal-streaming-english"], source="pvc://models/en", gpu=gpu)
    assert model.wanted_rollout == rollout
    assert model.wanted_resources.requests == {"cpu": cpu, "memory": memory}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"gatway": {}}, r"spec\.gatway: Extra inputs are not permitted"),
        ({"models": []}, r"spec\.models: .*at least 1"),
        ({"models": [ENGLISH, ENGLISH]}, r"spec\.models: name en-default appears twice"),
        ({"models": [{**ENGLISH, "source": "http://x/y"}]}, r"spec\.models\.0\.source: use hf://owner/model@revision"),
        ({"models": [{**ENGLISH, "name": "En"}]}, r"spec\.models\.0\.name: use at most 40 lower-case letters"),
        ({"networkIsolation": {"egressCidrs": ["192.0.2.1"]}}, r"egressCidrs\.0: use a range of addresses"),
        ({"images": {"pullSecrets": ["a", "a"]}}, r"spec\.images\.pullSecrets: value a appears twice"),
        (
            {"gateway": {"sessions": {"targetPerPod": 9, "maxPerPod": 1}}},
            r"spec\.gateway\.sessions: gateway\.sessions\.t",
        ),
    ],
)
def test_a_refusal_is_one_line_that_names_the_field_and_the_remedy(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(StackError, match=says) as refused:
        read_stack(document(**spec))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "while parsing"), ("", "found 0 documents"), ("a: 1\n---\nb: 1", "found 2 documents"), ("- a", "dict")],
)
def test_a_file_that_holds_no_stack_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "stack.yaml"
    path.write_text(text)
    with pytest.raises(StackError, match=says) as refused:
        load_stack(path)
    assert str(refused.value).startswith(str(path))


CIDRS = {
    "192.0.2.0/24": True,
    "2001:db8::/32": True,
    "192.0.2.7/24": True,
    "192.0.2.0": False,
    "192.0.2.0/33": False,
    "192.0.2.0/255.255.255.0": False,
    "2001:db8::/129": False,
    "fe80::1%eth0/64": False,
    "stt.example.com": False,
}


@pytest.mark.parametrize(("cidr", "fits"), CIDRS.items())
def test_a_range_of_addresses_needs_a_length(cidr: str, fits: bool) -> None:
    try:
        read_stack(document(networkIsolation={"egressCidrs": [cidr]}))
    except StackError:
        assert not fits
    else:
        assert fits


def status() -> StackStatus:
    time = datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC)
    condition = Condition(
        type=ConditionType.READY, status="True", reason=Reason.READY, observed_generation=3, last_transition_time=time
    )
    return StackStatus(
        observed_generation=3,
        conditions=[condition],
        endpoint="wss://stt.example.com/v3/ws",
        license=LicenseStatus(state="Connected", trust_expiration=time),
        gateway=GatewayStatus(ready=2, desired=2, sessions=0, capacity=96),
        models=[ModelStatus(name="en-default", ready=1, desired=1, phase=ModelPhase.AVAILABLE)],
    )


def test_a_status_reads_back_as_it_was_written_to_the_second() -> None:
    written = status().to_object()
    assert written["conditions"][0]["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    assert "streams" not in written["models"][0]
    stack = StreamingStack.model_validate({**document(), "status": written})
    assert stack.status is not None
    assert stack.status.to_object() == written
    ready = stack.status.condition(ConditionType.READY)
    assert ready is not None
    assert ready.reason is Reason.READY
    assert stack.status.condition(ConditionType.ACCEPTED) is None


def test_a_status_that_cannot_be_read_never_stands_in_the_way_of_the_spec() -> None:
    newer = {**status().to_object(), "conditions": [{"type": "Ready", "status": "True", "reason": "NeverHeardOf"}]}
    assert read_stack({**document(), "status": newer}).status is None
    assert read_stack({**document(), "status": {"newField": 1}}).status == StackStatus()

"""What the operator tells of a stack, as long as it is there."""

from streaming_operator.metrics import OperatorMetrics


def _told(metrics: OperatorMetrics) -> dict[tuple[str, str], float]:
    """Pods that drain by stack and component."""
    return {
        (sample.labels["stack"], sample.labels["component"]): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "streaming_operator_stack_draining_pods"
    }


def test_pods_that_drain_are_told_until_none_does_and_no_longer_than_their_stack() -> None:
    metrics = OperatorMetrics()
    metrics.draining.count("speech", "demo", {("gateway", ""): (2, 7), ("asr", "en"): (1, 0)})
    metrics.draining.count("speech", "other", {("gateway", ""): (1, 1)})
    assert _told(metrics) == {("demo", "gateway"): 2, ("demo", "asr"): 1, ("other", "gateway"): 1}
    labels = {"namespace": "speech", "stack": "demo", "component": "gateway", "model": ""}
    assert metrics.registry.get_sample_value("streaming_operator_stack_draining_sessions", labels) == 7
    metrics.draining.count("speech", "demo", {("gateway", ""): (1, 3)})
    assert _told(metrics) == {("demo", "gateway"): 1, ("other", "gateway"): 1}
    metrics.forget_stack("speech", "demo")
    assert _told(metrics) == {("other", "gateway"): 1}

"""What sizes the gateway and the pools: an HPA on a per-pod metric, or a KEDA ScaledObject that makes one."""

from dataclasses import dataclass
from typing import Any

from lightkube.generic_resource import GenericNamespacedResource
from lightkube.models import autoscaling_v2 as hpa
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler
from stack_model.api import Model, StreamingStack

from streaming_operator import names
from streaming_operator.children.child import Child
from streaming_operator.children.config import pools
from streaming_operator.children.optional_apis import SCALED_OBJECT, ScaledObject
from streaming_operator.facts import Inputs


@dataclass(frozen=True)
class _Scaled:
    """One Deployment that follows its load."""

    name: str
    component: str
    model: str | None
    metric: str
    target: int
    smallest: int
    largest: int
    behavior: hpa.HorizontalPodAutoscalerBehavior


def autoscaling(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """One autoscaler for the gateway and one for each pool; none where sizes are fixed or KEDA is not there.

    The vendor's images export no load that is known, so nothing could size them.
    """
    provider = stack.spec.autoscaling.provider
    if stack.spec.images.flavour == "Vendor":
        return []
    if provider == "HPA":
        return [Child(_autoscaler(stack, scaled)) for scaled in _scaled(stack, inputs)]
    if provider == "KEDA" and SCALED_OBJECT in inputs.apis and inputs.scaler_address is not None:
        return [Child(_scaled_object(stack, scaled, inputs.scaler_address)) for scaled in _scaled(stack, inputs)]
    return []


def _scaled(stack: StreamingStack, inputs: Inputs) -> list[_Scaled]:
    # A pool that leaves keeps its autoscaler: nothing new comes, so it shrinks while it drains.
    return [_gateway(stack), *(_pool(stack, model) for model in pools(stack, inputs))]


def _gateway(stack: StreamingStack) -> _Scaled:
    gateway = stack.spec.gateway
    return _Scaled(
        name=names.gateway(stack.metadata.name),
        component=names.GATEWAY,
        model=None,
        metric=names.GATEWAY_LOAD,
        target=gateway.sessions.target_per_pod,
        smallest=gateway.autoscaling.min_replicas,
        largest=gateway.autoscaling.max_replicas,
        behavior=hpa.HorizontalPodAutoscalerBehavior(
            # Gateways start in seconds: double, or four at once, whichever is more.
            scaleUp=_rules(0, _percent(100, 30), _pods(4, 30)),
            # A gateway that leaves drains for hours; one that was too early is not had back at once.
            scaleDown=_rules(900, _pods(1, 300)),
        ),
    )


def _pool(stack: StreamingStack, model: Model) -> _Scaled:
    return _Scaled(
        name=names.pool(stack.metadata.name, model.name),
        component=names.ASR,
        model=model.name,
        metric=names.ASR_LOAD,
        target=model.streams.target_per_pod,
        smallest=model.autoscaling.min_replicas,
        largest=model.autoscaling.max_replicas,
        behavior=hpa.HorizontalPodAutoscalerBehavior(
            # Loading takes long enough, so nothing waits before it; each pod may cost a card, so there are no leaps.
            scaleUp=_rules(0, _pods(2, 60)),
            scaleDown=_rules(1200, _pods(1, 600)),
        ),
    )


def _rules(window: int, *policies: hpa.HPAScalingPolicy) -> hpa.HPAScalingRules:
    return hpa.HPAScalingRules(stabilizationWindowSeconds=window, policies=list(policies))


def _pods(count: int, period: int) -> hpa.HPAScalingPolicy:
    return hpa.HPAScalingPolicy(type="Pods", value=count, periodSeconds=period)


def _percent(share: int, period: int) -> hpa.HPAScalingPolicy:
    return hpa.HPAScalingPolicy(type="Percent", value=share, periodSeconds=period)


def _metadata(stack: StreamingStack, scaled: _Scaled) -> ObjectMeta:
    return ObjectMeta(name=scaled.name, labels=names.labels(stack.metadata.name, scaled.component, scaled.model))


def _autoscaler(stack: StreamingStack, scaled: _Scaled) -> HorizontalPodAutoscaler:
    # A target of AverageValue leaves out pods that end, and pods that do not answer: draining is no load.
    metric = hpa.PodsMetricSource(
        metric=hpa.MetricIdentifier(name=scaled.metric),
        target=hpa.MetricTarget(type="AverageValue", averageValue=str(scaled.target)),
    )
    return HorizontalPodAutoscaler(
        metadata=_metadata(stack, scaled),
        spec=hpa.HorizontalPodAutoscalerSpec(
            scaleTargetRef=hpa.CrossVersionObjectReference(apiVersion="apps/v1", kind="Deployment", name=scaled.name),
            minReplicas=scaled.smallest,
            maxReplicas=scaled.largest,
            metrics=[hpa.MetricSpec(type="Pods", pods=metric)],
            behavior=scaled.behavior,
        ),
    )


def _scaled_object(stack: StreamingStack, scaled: _Scaled, scaler: str) -> GenericNamespacedResource:
    trigger: dict[str, Any] = {
        "type": "external",
        "metricType": "AverageValue",
        "metadata": {
            "scalerAddress": scaler,
            "stack": stack.metadata.name,
            "component": scaled.component,
            **({} if scaled.model is None else {"model": scaled.model}),
            "target": str(scaled.target),
        },
    }
    return ScaledObject(
        metadata=_metadata(stack, scaled),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": scaled.name},
            "minReplicaCount": scaled.smallest,
            "maxReplicaCount": scaled.largest,
            "pollingInterval": 15,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": scaled.behavior.to_dict()}},
            "triggers": [trigger],
        },
    )

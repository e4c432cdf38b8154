"""From a StreamingStack to every object that it needs. Pure, total and deterministic: no client, no clock, no kopf."""

from stack_model.api import StreamingStack

from streaming_operator.children import vendor
from streaming_operator.children.asr_pool import asr_pool
from streaming_operator.children.autoscaling import autoscaling
from streaming_operator.children.child import Child
from streaming_operator.children.config import balancer_config, gateway_config, pools, store_config
from streaming_operator.children.disruption import disruption
from streaming_operator.children.exposure import exposure
from streaming_operator.children.gateway import gateway
from streaming_operator.children.license_proxy import license_proxy
from streaming_operator.children.load_balancer import load_balancer
from streaming_operator.children.model_store import model_store
from streaming_operator.children.monitors import monitors
from streaming_operator.children.network_policy import network_policies
from streaming_operator.children.sync_api import sync_api
from streaming_operator.facts import Inputs

__all__ = ["Child", "build_children", "pools"]


def build_children(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    """Every object of the stack, in the order in which it is to be applied.

    The walls come first, what is mounted comes before what mounts it, and what clients see comes last.
    """
    ours = stack.spec.images.flavour == "StreamingStack"
    return [
        *network_policies(stack, inputs),
        *(_workloads(stack, inputs) if ours else vendor.workloads(stack, inputs)),
        *disruption(stack, inputs),
        *autoscaling(stack, inputs),
        *monitors(stack, inputs),
        *exposure(stack, inputs),
    ]


def _workloads(stack: StreamingStack, inputs: Inputs) -> list[Child]:
    return [
        *gateway_config(stack, inputs),
        *balancer_config(stack, inputs),
        *store_config(stack, inputs),
        *license_proxy(stack, inputs),
        *model_store(stack, inputs),
        *(child for model in pools(stack, inputs) for child in asr_pool(stack, inputs, model)),
        *load_balancer(stack, inputs),
        *gateway(stack, inputs),
        *sync_api(stack, inputs),
    ]

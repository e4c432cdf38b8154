"""Which image runs each part. Pure."""

from typing import Literal

from stack_model.api import Model, StreamingStack

from streaming_operator.facts import Inputs

Part = Literal["gateway", "license_proxy", "load_balancer", "asr", "asr_gpu", "model_store", "sync_api"]


def image_of(stack: StreamingStack, inputs: Inputs, part: Part) -> str:
    """The stack's own reference, else the operator's, from the stack's registry where it names one."""
    images = stack.spec.images
    override: str | None = getattr(images.overrides, part)
    if override is not None:
        return override
    usual: str = getattr(inputs.images, part)
    return usual if images.registry is None else f"{images.registry}/{usual.rpartition('/')[2]}"


def image_of_pool(stack: StreamingStack, inputs: Inputs, model: Model) -> str:
    """A model's own image, else the recogniser's for the hardware that the model runs on."""
    return model.image or image_of(stack, inputs, "asr_gpu" if model.gpu else "asr")

"""How many pods each workload had, as the stack's status tells: it outlives the workload, and the operator. Pure."""

from stack_model.api import StackStatus

from streaming_operator import names


def last_sizes(stack: str, status: StackStatus | None) -> dict[str, int]:
    """By the name of the Deployment; of those that somebody else sizes."""
    if status is None:
        return {}
    pools = {names.pool(stack, model.name): model.desired for model in status.models}
    return {names.gateway(stack): status.gateway.desired, **pools}

"""Is any card of the cluster large enough for a model? Known where GPU feature discovery labels the nodes. Pure."""

from collections.abc import Mapping

from stack_model.api import Model

from streaming_operator.facts import Inputs

# A card of 24 GiB reports as little as 23028 MiB: firmware and error correction keep some.
_SLACK = 0.9


def memory_label(model: Model) -> str:
    """Label with the memory, in MiB, of what the model's resource name stands for: a card or a slice of one."""
    return f"{model.gpu.resource_name}.memory" if model.gpu else ""


def smallest_mib(model: Model) -> int:
    """The least that the label may say, in MiB, for the card to hold the model."""
    return int(model.gpu.min_memory_gib * 1024 * _SLACK) if model.gpu else 0


def too_small(model: Model, inputs: Inputs) -> str | None:
    """The largest card that the model's pods could get, in words, where none is large enough; None where one may be."""
    if model.gpu is None or inputs.gpu_nodes is None:
        return None
    wanted = {**model.gpu.node_selector, **model.pods.node_selector}
    found = [
        (int(node[memory_label(model)]), node.get("nvidia.com/gpu.product", "a card"))
        for node in inputs.gpu_nodes
        if wanted.items() <= node.items() and _is_number(node, memory_label(model))
    ]
    if not found or max(found)[0] >= smallest_mib(model):
        return None
    mib, product = max(found)
    return f"{product} with {mib / 1024:.0f} GiB"


def _is_number(node: Mapping[str, str], label: str) -> bool:
    text = node.get(label, "")
    return text.isascii() and text.isdigit()

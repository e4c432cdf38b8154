"""The pool of one model: a recogniser and its Triton, on a network of their own. Pure."""

from stack_model.api import Model, StreamingStack
from stack_model.catalogue import family_of
from stack_model.compose import variables
from stack_model.compose.errors import ComposeError
from stack_model.compose.model_files import model_files
from stack_model.compose.services import (
    INSIDE,
    Node,
    Part,
    confined,
    deployed,
    environment,
    grpc_health,
    healthy,
    http_health,
    image,
    limits,
)
from stack_model.compose.variables import Variable
from stack_model.languages import languages_of


def recogniser_name(model: Model) -> str:
    """The service that a route leads to."""
    return f"streaming-asr-{model.name}"


def between(model: Model) -> str:
    """The network of a recogniser and its Triton, which answers to nobody else."""
    return f"triton-{model.name}"


def pool(stack: StreamingStack, model: Model, first_card: int) -> list[Part]:
    """What fetches the model, Triton, the recogniser; cards count from `first_card`. Raises ComposeError."""
    files = model_files(stack, model)
    reference, used = pool_image(stack, model)
    reservation, cards = reserved_cards(model, first_card)
    languages = ",".join(languages_of(model)) or None
    triton = {
        "image": reference,
        "command": ["triton"],
        "environment": environment(
            {
                "WHISPER_MODEL_DIR": files.folder,
                "WHISPER_LANGUAGES": languages,
                "TRITON_GRPC_HOST": "0.0.0.0",
            },
            model.pods.env,
        ),
        "networks": [between(model)],
        "volumes": [files.mount],
        "shm_size": "1g" if model.gpu else "256m",
        "healthcheck": http_health(8000, "/v2/health/ready", model.startup_seconds),
        "depends_on": {part.name: {"condition": "service_completed_successfully"} for part in files.before},
        **deployed(limits(model.wanted_resources.limits), reservation),
    }
    return [
        *files.before,
        Part(f"triton-{model.name}", confined(triton), (*used, *cards), files.volumes),
        _recogniser(stack, model),
    ]


def _recogniser(stack: StreamingStack, model: Model) -> Part:
    reference, used = pool_image(stack, model)
    settings = {
        "ASR_PORT": "50051",
        "METRICS_PORT": "9090",
        "ROUTE": model.name,
        "TRITON_URL": f"triton-{model.name}:8001",
        "MAX_OPEN_STREAMS": str(model.streams.max_per_pod),
        "REPLACING": "true" if any(family_of(name) == "universal-3" for name in model.speech_models) else None,
        "LANGUAGES": ",".join(languages_of(model)) or None,
    }
    service = {
        "image": reference,
        "command": ["recognizer"],
        "environment": environment(settings, model.pods.env),
        "networks": [INSIDE, between(model)],
        "healthcheck": grpc_health(50051),
        "depends_on": healthy(f"triton-{model.name}"),
        "stop_grace_period": "60s",
    }
    return Part(recogniser_name(model), confined(service), used)


def pool_image(stack: StreamingStack, model: Model) -> tuple[str, tuple[Variable, ...]]:
    """The model's own image, else the recogniser's for its hardware."""
    if model.image is not None:
        return model.image, ()
    return image(stack.spec.images, "asr_gpu" if model.gpu else "asr")


def reserved_cards(model: Model, first: int) -> tuple[Node, tuple[Variable, ...]]:
    """`deploy` that reserves the model's cards, and the variables that choose them. Raises ComposeError."""
    if model.gpu is None:
        return {}, ()
    if not model.gpu.resource_name.startswith("nvidia.com/"):
        raise ComposeError(
            f"spec.models: {model.name}: Compose reserves NVIDIA cards only, not {model.gpu.resource_name}; "
            "leave gpu out or run the stack on Kubernetes"
        )
    cards = tuple(variables.card(model.name, index, first + index) for index in range(model.gpu.count))
    device = {"driver": "nvidia", "device_ids": [str(card) for card in cards], "capabilities": ["gpu"]}
    return {"resources": {"reservations": {"devices": [device]}}}, cards

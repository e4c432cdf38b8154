"""How a model's files come to its Triton: through the model store, from a volume, from an image. Pure."""

import posixpath
import re
from dataclasses import dataclass, field

from stack_model.api import Model, StreamingStack
from stack_model.compose import variables
from stack_model.compose.services import (
    INSIDE,
    MODEL_STORE,
    OUTSIDE,
    STORE,
    Node,
    Part,
    confined,
    deployed,
    environment,
    healthy,
    http_health,
    image,
    limits,
    plain,
    with_way_out,
)
from stack_model.stored_models import dump_stored_models, needs_store, stored_model

MODELS = "/models"
_LIST = "/etc/streaming-stack/models.yaml"
# Where an image has its model when the source does not say.
_USUAL_PATH = "models"
# The longest reference: a registry's port looks like a tag.
_IMAGE = re.compile(r"image://(?P<reference>.+(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64}))(/(?P<path>.*))?")


@dataclass(frozen=True)
class ModelFiles:
    """Where Triton finds a model, what is mounted for it, and what has to run before."""

    folder: str
    mount: str | Node
    volumes: dict[str, Node | None] = field(default_factory=dict)
    before: tuple[Part, ...] = ()


def model_files(stack: StreamingStack, model: Model) -> ModelFiles:
    """The files of one model of the stack."""
    source = model.source or ""
    if source.startswith("pvc://"):
        volume, _, path = source.removeprefix("pvc://").partition("/")
        # The claim's counterpart: a volume of this name that is there already.
        where = f"{MODELS}/{model.name}"
        return ModelFiles(posixpath.join(where, path).rstrip("/"), f"{volume}:{where}:ro", {volume: {"external": True}})
    found = _IMAGE.fullmatch(source)
    if found is not None:
        where = f"{MODELS}/{model.name}"
        mount = {"type": "image", "source": found["reference"], "target": where}
        return ModelFiles(posixpath.join(where, found["path"] or _USUAL_PATH), mount)
    fetched = _fetch(stack, model)
    volume = _volume(model)
    return ModelFiles(f"{MODELS}/{model.name}", f"{volume}:{MODELS}:ro", {volume: None}, (fetched,))


def _volume(model: Model) -> str:
    return f"model-{model.name}"


def _fetch(stack: StreamingStack, model: Model) -> Part:
    """Copies one model from the store, verified, and ends."""
    reference, used = image(stack.spec.images, "model_store")
    # The volume takes its owner from this folder of the image.
    service = {
        "image": reference,
        "command": [
            *("fetch", "--from", f"http://{MODEL_STORE}:8080", "--model", model.name),
            *("--expect", stored_model(model).identity, "--to", STORE),
        ],
        "networks": [INSIDE],
        "volumes": [f"{_volume(model)}:{STORE}"],
        "depends_on": healthy(MODEL_STORE),
        "restart": "on-failure",
    }
    return Part(f"fetch-{model.name}", confined(service), used)


def model_store(stack: StreamingStack) -> list[Part]:
    """The store of the models that come through it; nothing where there are none."""
    stored = [model for model in stack.spec.models if needs_store(model)]
    if not stored:
        return []
    spec = stack.spec.model_store
    reference, used = image(stack.spec.images, "model_store")
    sources = [uri for model in stored for uri in _uris(model)]
    credentials = _credentials(sources)
    own = _folders_of_this_machine(sources)
    settings = {
        "MODELS_FILE": _LIST,
        "STORE_DIR": STORE,
        "SERVER_PORT": "8080",
        "METRICS_PORT": "9090",
        "FILE_SOURCES": plain(posixpath.commonpath(own)) if own else None,
    }
    passed_on: dict[str, str | None] = dict.fromkeys((variable.name for variable in credentials), None)
    service = {
        "image": reference,
        "command": ["serve"],
        "environment": {**environment(settings, spec.pods.env), **passed_on},
        "networks": [INSIDE, OUTSIDE],
        "volumes": [f"model-store:{STORE}", *(f"{plain(path)}:{plain(path)}:ro" for path in own)],
        "configs": [{"source": "models", "target": _LIST}],
        "healthcheck": http_health(8080, "/readyz"),
        **deployed(limits(spec.resources.limits)),
    }
    text = dump_stored_models([stored_model(model) for model in stored])
    part = Part(
        MODEL_STORE,
        confined(service),
        (*used, *credentials),
        volumes={"model-store": None},
        configs={"models": {"content": plain(text)}},
    )
    return [with_way_out(stack, part)]


def _uris(model: Model) -> list[str]:
    return [model.source] if model.source else [part for file in model.files for part in file.parts]


def _credentials(sources: list[str]) -> tuple[variables.Variable, ...]:
    hub = variables.HUB if any(uri.startswith("hf://") for uri in sources) else ()
    bucket = variables.BUCKET if any(uri.startswith("s3://") for uri in sources) else ()
    return (*hub, *bucket)


def _folders_of_this_machine(sources: list[str]) -> list[str]:
    """What `file://` sources name, each once."""
    return sorted({uri.removeprefix("file://") for uri in sources if uri.startswith("file://")})

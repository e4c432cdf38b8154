"""How a model's files come into a recogniser's pod: copied from the model store or an image, or mounted. Pure."""

import re
from dataclasses import dataclass

from lightkube.models.core_v1 import (
    Container,
    ImageVolumeSource,
    PersistentVolumeClaimVolumeSource,
    ResourceRequirements,
    Volume,
    VolumeMount,
)
from stack_model.api import Model, StreamingStack
from stack_model.stored_models import stored_model

from streaming_operator import names
from streaming_operator.children import config
from streaming_operator.children.containers import mount, scratch
from streaming_operator.children.images import image_of
from streaming_operator.facts import Inputs

FOLDER = "/models"
# Where an image that is copied from sees the volume: a place that it has nothing at.
_COPY = "/streamingstack-model"
_VOLUME = "model"
_SMALL = ResourceRequirements(requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "512Mi"})
_IMAGE = re.compile(
    r"image://(?P<reference>[A-Za-z0-9][A-Za-z0-9._:/-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64}))(/(?P<path>.*))?"
)
# Where an image has its model when the source does not say.
_USUAL_PATH = "models"


@dataclass(frozen=True)
class ModelFiles:
    """A volume with the model, its place in Triton's container, and the containers that fill it before."""

    volume: Volume
    mount: VolumeMount
    init: tuple[Container, ...] = ()


def folder_of(model: Model) -> str:
    """Where Triton finds the model's files."""
    return f"{FOLDER}/{model.name}"


def model_files(stack: StreamingStack, inputs: Inputs, model: Model) -> ModelFiles | None:
    """None where the pool's image brings its model."""
    source = model.source or ""
    if source.startswith("pvc://"):
        return _claimed(model, source)
    image = _IMAGE.fullmatch(source)
    if image is not None:
        place = image["reference"], (image["path"] or _USUAL_PATH).strip("/")
        return _mounted(model, *place) if inputs.image_volumes else _copied(model, *place)
    return _fetched(stack, inputs, model) if config.is_stored(stack, model) else None


def _fetched(stack: StreamingStack, inputs: Inputs, model: Model) -> ModelFiles:
    """From the store, verified; whole or not at all. The store is waited for, however long it takes."""
    store = config.address(stack, inputs, names.model_store(stack.metadata.name), names.MODEL_STORE_PORT)
    identity = stored_model(model).identity
    fetch = Container(
        name="fetch",
        image=image_of(stack, inputs, "model_store"),
        args=["fetch", "--from", f"http://{store}", "--model", model.name, "--expect", identity, "--to", FOLDER],
        resources=_SMALL,
        volumeMounts=[mount(_VOLUME, FOLDER, read_only=False)],
    )
    return ModelFiles(scratch(_VOLUME), mount(_VOLUME, FOLDER), (fetch,))


def _claimed(model: Model, source: str) -> ModelFiles:
    claim, _, path = source.removeprefix("pvc://").partition("/")
    volume = Volume(
        name=_VOLUME, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(claimName=claim, readOnly=True)
    )
    return ModelFiles(volume, mount(_VOLUME, folder_of(model), sub_path=path.strip("/") or None))


def _mounted(model: Model, reference: str, path: str) -> ModelFiles:
    volume = Volume(name=_VOLUME, image=ImageVolumeSource(reference=reference))
    return ModelFiles(volume, mount(_VOLUME, folder_of(model), sub_path=path))


def _copied(model: Model, reference: str, path: str) -> ModelFiles:
    """By the image's own `cp`, where the cluster cannot mount images."""
    copy = Container(
        name="copy",
        image=reference,
        command=["cp", "-R", f"/{path}/.", f"{_COPY}/"],
        resources=_SMALL,
        volumeMounts=[mount(_VOLUME, _COPY, read_only=False)],
    )
    return ModelFiles(scratch(_VOLUME), mount(_VOLUME, folder_of(model)), (copy,))

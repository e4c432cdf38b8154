"""The images: which file builds each, and what bounds it."""

from collections.abc import Iterable
from dataclasses import dataclass

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Image:
    """One image. `limit` bounds the sum of its compressed layers, base included, in bytes; None where nothing does."""

    name: str
    containerfile: str
    limit: int | None
    target: str | None = None
    # Built only when asked for by name.
    on_request: bool = False


IMAGES = (
    Image("gateway", "services/gateway/Containerfile", 150 * MEGABYTE),
    Image("license-proxy", "services/license_proxy/Containerfile", 150 * MEGABYTE),
    Image("load-balancer", "services/load_balancer/Containerfile", 150 * MEGABYTE),
    Image("model-store", "services/model_store/Containerfile", 150 * MEGABYTE),
    Image("sync-api", "services/sync_api/Containerfile", 150 * MEGABYTE),
    Image("operator", "operator/Containerfile", 200 * MEGABYTE),
    Image("asr", "services/asr/Containerfile", 1000 * MEGABYTE, target="cpu"),
    Image("asr-nvidia", "services/asr/Containerfile", None, target="nvidia", on_request=True),
)


def select(names: Iterable[str]) -> list[Image]:
    """The images of these names, in the order of the catalogue; all that need no request where none is named.

    Raises ValueError naming what is unknown.
    """
    wanted = list(names)
    known = {image.name for image in IMAGES}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise ValueError(f"no image {', '.join(unknown)}; there are {', '.join(image.name for image in IMAGES)}")
    return [image for image in IMAGES if (image.name in wanted if wanted else not image.on_request)]


def reference(registry: str, image: Image, tag: str) -> str:
    """The full name, such as localhost/streamingstack/gateway:0.1.0."""
    return f"{registry.rstrip('/')}/{image.name}:{tag}"

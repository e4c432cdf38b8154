"""What this release is: its version, and its images as the chart gives them to the operator. Pure."""

# Written out: images hold sources without the metadata of packages, from which it could be read.
VERSION = "0.1.0"
# Where images are built to, and the chart looks for them, unless told.
REGISTRY = "localhost/streamingstack"
# By the part that runs in them, as in `spec.images.overrides`.
IMAGE_NAMES = {
    "gateway": "gateway",
    "license_proxy": "license-proxy",
    "load_balancer": "load-balancer",
    "asr": "asr",
    "asr_gpu": "asr-nvidia",
    "model_store": "model-store",
    "sync_api": "sync-api",
}


def image_reference(part: str) -> str:
    """The image of a part in full."""
    return f"{REGISTRY}/{IMAGE_NAMES[part]}:{VERSION}"

"""The way out of the two parts that have one: an HTTP proxy, certificates that are trusted beside the usual. Pure."""

from lightkube.models.core_v1 import Volume
from stack_model.api import StreamingStack

from streaming_operator.children.containers import EnvironmentValue, config_volume, mount
from streaming_operator.facts import Inputs

_FOLDER = "/etc/streaming-stack/ca"
_FILE = "ca.crt"
CA_MOUNT = mount("extra-ca", _FOLDER)


def ca_volume(stack: StreamingStack) -> list[Volume]:
    """The bundle of certificates, where the stack names one."""
    isolation = stack.spec.network_isolation
    if isolation.ca_bundle_config_map is None:
        return []
    return [config_volume("extra-ca", isolation.ca_bundle_config_map, {isolation.ca_bundle_key: _FILE})]


def read_at_start(stack: StreamingStack) -> tuple[str, ...]:
    """What of it a change rolls the pods."""
    bundle = stack.spec.network_isolation.ca_bundle_config_map
    return (f"ConfigMap/{bundle}",) if bundle else ()


def way_out(stack: StreamingStack, inputs: Inputs) -> dict[str, EnvironmentValue | None]:
    """The environment by which a part finds its way out; nothing inside the cluster goes through the proxy."""
    isolation = stack.spec.network_isolation
    proxied = isolation.proxy_url
    return {
        "HTTP_PROXY": proxied,
        "HTTPS_PROXY": proxied,
        "NO_PROXY": f"localhost,127.0.0.1,.svc,.{inputs.cluster_domain}" if proxied else None,
        "EXTRA_CA_FILE": f"{_FOLDER}/{_FILE}" if isolation.ca_bundle_config_map else None,
    }

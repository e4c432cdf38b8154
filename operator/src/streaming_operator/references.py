"""The Secrets and ConfigMaps that a stack names. Pure."""

from dataclasses import dataclass
from typing import Literal

from stack_model.api import StreamingStack

from streaming_operator import names

USAGE_API_KEY = "api-key"


@dataclass(frozen=True)
class Reference:
    """One object that a user made. `field` says where the stack names it; `key` must be in its data, where set."""

    kind: Literal["Secret", "ConfigMap"]
    name: str
    field: str
    key: str | None = None
    # Pods read it only when they start: a change rolls them.
    read_at_start: bool = False

    @property
    def id(self) -> str:
        """As in `Inputs.versions`."""
        return f"{self.kind}/{self.name}"


def license_references(stack: StreamingStack) -> tuple[Reference, Reference]:
    """The licence and the keys that verify it."""
    wanted = stack.spec.license
    return (
        Reference("Secret", wanted.secret_name, "spec.license.secretName", wanted.key),
        Reference(
            "ConfigMap", wanted.public_keys_config_map, "spec.license.publicKeysConfigMap", wanted.public_keys_key
        ),
    )


def other_references(stack: StreamingStack) -> list[Reference]:
    """Everything but the licence."""
    spec = stack.spec
    usage, walls, expose = spec.license_proxy.usage, spec.network_isolation, spec.gateway.expose
    named: list[tuple[Literal["Secret", "ConfigMap"], str | None, str, str | None, bool]] = [
        ("Secret", spec.gateway.auth.secret_name, "spec.gateway.auth.secretName", names.API_KEYS_FILE, False),
        ("Secret", usage.api_key_secret_name, "spec.licenseProxy.usage.apiKeySecretName", USAGE_API_KEY, True),
        ("ConfigMap", walls.ca_bundle_config_map, "spec.networkIsolation.caBundleConfigMap", walls.ca_bundle_key, True),
        ("Secret", spec.model_store.credentials_secret_name, "spec.modelStore.credentialsSecretName", None, True),
        ("Secret", expose.tls.secret_name if expose.tls else None, "spec.gateway.expose.tls.secretName", None, False),
        *(("Secret", name, "spec.images.pullSecrets", None, False) for name in spec.images.pull_secrets),
    ]
    return [Reference(kind, name, field, key, start) for kind, name, field, key, start in named if name is not None]


def references(stack: StreamingStack) -> list[Reference]:
    """All of them."""
    return [*license_references(stack), *other_references(stack)]

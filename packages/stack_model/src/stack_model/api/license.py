"""The licence, and the proxy that checks it and keeps usage."""

from pydantic import Field

from stack_model.api.base import Rule, SpecModel
from stack_model.api.pods import Pods, Resources
from stack_model.api.storage import Storage
from stack_model.api.text import DataKey, HttpUrl, ObjectName


class License(SpecModel):
    """Where the licence lies; several stacks of a namespace may name the same Secret."""

    secret_name: ObjectName = Field(default="license", description="Secret with the licence.")
    key: DataKey = Field(default="license.jwt", description="Key inside the Secret.")
    public_keys_config_map: ObjectName = Field(
        default="license-keys", description="ConfigMap with the issuer's public keys."
    )
    public_keys_key: DataKey = Field(
        default="public-keys.json", description="Key inside the ConfigMap: a JSON Web Key Set."
    )


class Usage(SpecModel):
    """Where counts of sessions and seconds of audio go: never audio, never text."""

    endpoint: HttpUrl | None = Field(
        default=None,
        description="URL of the usage tracker, such as https://usage-tracker.assemblyai.com, for the vendor's images; "
        "the proxy of this version keeps usage on its volume and delivers none.",
    )
    api_key_secret_name: ObjectName | None = Field(
        default=None, description="Secret whose key `api-key` authenticates at the usage tracker."
    )

    rules = (
        Rule(
            "!has(self.apiKeySecretName) || has(self.endpoint)",
            "licenseProxy.usage.apiKeySecretName: set licenseProxy.usage.endpoint too, or leave both out",
            lambda it: it.api_key_secret_name is None or it.endpoint is not None,
        ),
    )


def _resources() -> Resources:
    return Resources(requests={"cpu": "100m", "memory": "128Mi"}, limits={"memory": "512Mi"})


class LicenseProxy(SpecModel):
    """The only part that may talk to the outside: it checks the licence and keeps usage."""

    replicas: int = Field(default=2, ge=1, le=9, description="Pods, each with a volume of its own.")
    check_in_endpoint: HttpUrl | None = Field(
        default=None,
        description="URL of the licence server, for the vendor's images; the proxy of this version judges the licence "
        "offline.",
    )
    usage: Usage = Field(default_factory=Usage, description="Delivery of usage.")
    storage: Storage = Field(
        default_factory=Storage,
        description="Volume of each pod, for usage that is not delivered yet; kept when the stack is deleted.",
    )
    resources: Resources = Field(default_factory=_resources, description="CPU and memory of one pod.")
    pods: Pods = Field(default_factory=Pods, description="Overrides for the pods.")

"""What a local stack's processes inherit of the caller's environment: everything but their own settings."""

from collections.abc import Mapping

from license_proxy.settings import ProxySettings
from load_balancer.settings import BalancerSettings
from pydantic import AliasChoices
from service_kit.settings import ServiceSettings
from streaming_asr.settings import RecogniserSettings
from streaming_gateway.settings import GatewaySettings

_SETTINGS = (GatewaySettings, RecogniserSettings, BalancerSettings, ProxySettings)


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without what configures a part: the StreamingStack does.

    How logs look, and which nginx runs, is the caller's choice.
    """
    theirs = {name for settings in _SETTINGS for name in _names(settings)}
    theirs -= {*_names(ServiceSettings), "NGINX"}
    return {name: value for name, value in environment.items() if name.upper() not in theirs}


def _names(settings: type[ServiceSettings]) -> set[str]:
    """The variables that fields are read from, in capitals: settings do not care for case."""
    names: set[str] = set()
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        names |= {str(choice).upper() for choice in choices}
        names.add(name.upper())
    return names

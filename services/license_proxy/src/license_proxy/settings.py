"""The licence proxy's environment."""

from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr
from service_kit.settings import ServiceSettings


class ProxySettings(ServiceSettings):
    """What the licence proxy reads from its environment."""

    host: str = Field(default="0.0.0.0", validation_alias=AliasChoices("HOST"))
    port: int = Field(default=8080, ge=0, le=65535, validation_alias=AliasChoices("SERVER_PORT", "HTTP_PORT"))
    license_file_path: Path | None = Field(
        default=None, validation_alias=AliasChoices("LICENSE_FILE_PATH"), description="The licence; required."
    )
    license_public_keys_path: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("LICENSE_PUBLIC_KEYS_PATH"),
        description="The issuer's public keys (JWKS); required.",
    )
    state_dir: Path = Field(
        default=Path("state"), validation_alias=AliasChoices("STATE_DIR"), description="Usage and check-ins (SQLite)."
    )
    reload_seconds: float = Field(
        default=2.0,
        gt=0,
        le=3600,
        validation_alias=AliasChoices("LICENSE_RELOAD_SECONDS"),
        description="How often the licence and the keys are looked at for a change.",
    )
    usage_tracking_api_key: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("USAGE_TRACKING_API_KEY"),
        description="For the usage tracker; accepted, and not used before usage is delivered.",
    )

"""Settings from the environment: typed, documented, refused with the variable's name when wrong."""

import sys
from typing import TypeVar

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """What every service reads from its environment; the vendor's names are accepted beside ours."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    structured_logging: bool = Field(
        default=True,
        validation_alias=AliasChoices("USE_STRUCTURED_LOGGING", "AAI_USE_STRUCTURED_LOGGING"),
        description="One JSON object a line; otherwise lines for people.",
    )
    log_level: str = Field(
        default="INFO",
        validation_alias=AliasChoices("LOGGING_LEVEL", "AAI_LOG_LEVEL"),
        pattern="(?i)^(debug|info|warning|error|critical)$",
        description="DEBUG, INFO, WARNING, ERROR or CRITICAL.",
    )


Settings = TypeVar("Settings", bound=ServiceSettings)


def load_settings(kind: type[Settings]) -> Settings:
    """Read `kind` from the environment; exits with status 2 and one line per wrong variable."""
    try:
        return kind()
    except ValidationError as refused:
        for error in refused.errors():
            name = ".".join(str(part) for part in error["loc"])
            # Never the value: it may be a key, and for a missing variable it is the whole environment that was read.
            sys.stderr.write(f"environment variable {name}: {error['msg']}\n")
        raise SystemExit(2) from None

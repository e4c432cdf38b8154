"""Certificate authorities of a company, given to every library that fetches."""

import os
import ssl
import tempfile
from collections.abc import MutableMapping
from pathlib import Path


class TrustError(Exception):
    """The file cannot be used; one line with the remedy."""


def trust_also(extra: Path, environment: MutableMapping[str, str]) -> None:
    """Make `extra` (PEM) trusted beside the system's own authorities; raises TrustError.

    HTTP clients take it as REQUESTS_CA_BUNDLE, in addition; boto3 knows only one bundle, so it gets both in one file.
    """
    try:
        pem = extra.read_text()
        ssl.create_default_context(cadata=pem or "empty")
    except (OSError, UnicodeDecodeError, ssl.SSLError) as failure:
        reason = getattr(failure, "strerror", None) or type(failure).__name__
        raise TrustError(f"EXTRA_CA_FILE {extra}: {reason}; give a readable file of PEM certificates") from None
    environment["REQUESTS_CA_BUNDLE"] = str(extra)
    if "AWS_CA_BUNDLE" not in environment:
        with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as both:
            both.write(f"{_public()}\n{pem}")
        environment["AWS_CA_BUNDLE"] = both.name


def _public() -> str:
    """boto3's own bundle: a slim image has the system's as a folder of links at most."""
    from botocore.httpsession import get_cert_path

    return Path(get_cert_path(True)).read_text()


def environment_with(extra: Path | None) -> None:
    """Change this process's environment; nothing where there is no `extra`. Raises TrustError."""
    if extra is not None:
        trust_also(extra, os.environ)

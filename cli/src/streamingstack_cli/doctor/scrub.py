"""Takes out of a document whatever could be a secret. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Any

HIDDEN = "***"
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?")
_CREDENTIAL = re.compile(
    r"(?i)(authorization|bearer|token|password|secret|api[-_]?key)(['\"]?\s*[:=]\s*['\"]?)[^\s'\",}]+"
)
_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")
_SECRET_NAME = re.compile(r"(?i)token|password|passwd|secret|api[-_]?key|credential|netrc")
# Said twice elsewhere, long, and in words of others.
_DROPPED = {"managedFields", "kubectl.kubernetes.io/last-applied-configuration"}


def scrubbed_text(text: str, secrets: Collection[str] = ()) -> str:
    """`text` without the values in `secrets`, tokens, credentials, and users and queries of URLs."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, HIDDEN)
    text = _JWT.sub(HIDDEN, text)
    text = _USER_INFO.sub(f"{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1?{HIDDEN}", text)
    return _CREDENTIAL.sub(rf"\1\2{HIDDEN}", text)


def scrubbed(document: Any, secrets: Collection[str] = ()) -> Any:
    """The same for an object of Kubernetes: variables by name too, and nothing of a Secret's data."""
    if isinstance(document, Mapping):
        if document.get("kind") == "Secret":
            document = {name: value for name, value in document.items() if name not in ("data", "stringData")}
        if _is_secret_variable(document):
            return {**document, "value": HIDDEN}
        return {name: scrubbed(value, secrets) for name, value in document.items() if name not in _DROPPED}
    if isinstance(document, list):
        return [scrubbed(entry, secrets) for entry in document]
    return scrubbed_text(document, secrets) if isinstance(document, str) else document


def _is_secret_variable(entry: Mapping[str, Any]) -> bool:
    return "value" in entry and isinstance(entry.get("name"), str) and bool(_SECRET_NAME.search(entry["name"]))

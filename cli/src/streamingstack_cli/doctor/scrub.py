"""Takes out of a document whatever could be a secret. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Any

HIDDEN = "***"
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?")
# Between a name and its value: a colon, an equals sign, or a comma in a list of pairs. JSON within JSON has backslashes
# before its quotes.
_IS = r"(?:[\\'\"]*\s*[:=]|[\\'\"]+\s*,)\s*b?"
# A quoted value ends with the quote that it began with, where that is not part of it.
_QUOTED = r"(?P<quote>\\*['\"])(?:(?!(?<!\\)(?P=quote))[^\n])*"
# Of these the whole rest of the line, as scheme, token and parameters follow each other.
_HEADER = re.compile(rf"(?i)(?P<name>(?:authorization|cookie){_IS})(?:{_QUOTED}|[^\r\n]+)")
_CREDENTIAL = re.compile(
    rf"(?i)(?P<name>(?:bearer|token|password|passwd|secret|api[-_]?key){_IS})(?:{_QUOTED}|(?:[^\s'\",}}]|,(?=\S))+)"
)
_BEARER = re.compile(r"(?i)(?P<name>\bbearer\s+)(?P<quote>)[^\s'\",}]+")
_USER_INFO = re.compile(r"(?<=://)[^/\s@'\"]+@")
_QUERY = re.compile(r"((?:https?|wss?)://[^\s?'\"]+)\?[^\s'\"]+")
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
    for named in (_HEADER, _CREDENTIAL, _BEARER):
        text = named.sub(rf"\g<name>\g<quote>{HIDDEN}", text)
    return text


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

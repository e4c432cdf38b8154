"""Who may speak here: the API server alone, as a front proxy that says for whom. Pure.

In the ConfigMap kube-system/extension-apiserver-authentication the API server tells how it shows itself: the CA of its
client certificate, the common names that count, and the headers with the user.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec


class FrontProxyError(ValueError):
    """The ConfigMap says nothing that callers could be told by; the text says what is missing."""


class Unauthenticated(Exception):
    """The caller is not the front proxy, or it names no user; the text says which."""


@dataclass(frozen=True)
class User:
    """For whom the front proxy asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class FrontProxy:
    """How the API server shows itself. No `names` are all that the CA signed, as in every extension API server."""

    client_ca: str
    names: frozenset[str]
    user_headers: tuple[str, ...]
    group_headers: tuple[str, ...]
    uid_headers: tuple[str, ...]
    extra_prefixes: tuple[str, ...]

    def user(self, common_name: str | None, headers: Sequence[tuple[str, str]]) -> User:
        """The user of a request; `common_name` is of a client certificate that the CA signed, None without one.

        Raises Unauthenticated.
        """
        if common_name is None:
            raise Unauthenticated("no client certificate: only the API server's front proxy is served here")
        if self.names and common_name not in self.names:
            raise Unauthenticated("the client certificate's name is none of the front proxy's")
        lowered = [(name.lower(), value) for name, value in headers]
        name = _first(lowered, self.user_headers)
        if not name:
            raise Unauthenticated("the front proxy names no user")
        return User(
            name=name,
            groups=tuple(value for header in self.group_headers for key, value in lowered if key == header),
            uid=_first(lowered, self.uid_headers),
            extra=_extra(lowered, self.extra_prefixes),
        )


def read_front_proxy(data: Mapping[str, str] | None) -> FrontProxy:
    """The data of the ConfigMap. Raises FrontProxyError."""
    found = data or {}
    client_ca = found.get("requestheader-client-ca-file", "")
    if "-----BEGIN CERTIFICATE-----" not in client_ca:
        raise FrontProxyError(
            "kube-system/extension-apiserver-authentication has no requestheader-client-ca-file: the API server's "
            "aggregation layer is off; set its --requestheader-client-ca-file and --proxy-client-cert-file"
        )
    users = _headers(found, "requestheader-username-headers")
    if not users:
        raise FrontProxyError("kube-system/extension-apiserver-authentication has no requestheader-username-headers")
    return FrontProxy(
        client_ca=client_ca,
        names=frozenset(_list(found, "requestheader-allowed-names")),
        user_headers=users,
        group_headers=_headers(found, "requestheader-group-headers"),
        uid_headers=_headers(found, "requestheader-uid-headers"),
        extra_prefixes=_headers(found, "requestheader-extra-headers-prefix"),
    )


def _list(data: Mapping[str, str], key: str) -> list[str]:
    try:
        return msgspec.json.decode(data.get(key) or "[]", type=list[str])
    except msgspec.DecodeError:
        raise FrontProxyError(f"kube-system/extension-apiserver-authentication: {key} is no list") from None


def _headers(data: Mapping[str, str], key: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in _list(data, key) if name)


def _first(headers: Sequence[tuple[str, str]], wanted: Sequence[str]) -> str:
    return next((value for header in wanted for key, value in headers if key == header and value), "")


def _extra(headers: Sequence[tuple[str, str]], prefixes: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for key, value in headers:
        prefix = next((prefix for prefix in prefixes if key.startswith(prefix)), None)
        if prefix is not None:
            found.setdefault(unquote(key[len(prefix) :]), []).append(value)
    return tuple(sorted((key, tuple(values)) for key, values in found.items()))

"""Only the front proxy is a caller, and who it speaks for is what its headers say."""

import json

import pytest
from metrics_adapter.front_proxy import FrontProxyError, Unauthenticated, User, read_front_proxy

CA = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
DATA = {
    "client-ca-file": "the cluster's own, which is not asked",
    "requestheader-client-ca-file": CA,
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}
PROXY = read_front_proxy(DATA)


def test_user_groups_uid_and_extra_come_from_the_headers_that_the_api_server_names() -> None:
    headers = [
        ("x-remote-user", "jane"),
        ("X-Remote-Group", "a"),
        ("X-REMOTE-GROUP", "b"),
        ("X-Remote-Uid", "42"),
        ("X-Remote-Extra-Scopes", "one"),
        ("X-Remote-Extra-Scopes", "two"),
        ("X-Remote-Extra-Example.com%2fid", "7"),
        ("X-Other", "c"),
    ]
    extra = (("example.com/id", ("7",)), ("scopes", ("one", "two")))
    assert PROXY.user("front-proxy-client", headers) == User("jane", ("a", "b"), "42", extra)


@pytest.mark.parametrize(
    ("name", "headers", "why"),
    [
        (None, [("X-Remote-User", "jane")], "no client certificate"),
        ("somebody", [("X-Remote-User", "jane")], "none of the front proxy's"),
        ("", [("X-Remote-User", "jane")], "none of the front proxy's"),
        ("front-proxy-client", [], "names no user"),
        ("front-proxy-client", [("X-Remote-User", "")], "names no user"),
        ("front-proxy-client", [("X-Other-User", "jane"), ("Authorization", "Bearer x")], "names no user"),
    ],
)
def test_everybody_else_is_nobody(name: str | None, headers: list[tuple[str, str]], why: str) -> None:
    with pytest.raises(Unauthenticated, match=why):
        PROXY.user(name, headers)


def test_no_allowed_names_are_all_that_the_ca_signed() -> None:
    for names in ("", "[]"):
        proxy = read_front_proxy(DATA | {"requestheader-allowed-names": names})
        assert proxy.user("anybody", [("X-Remote-User", "jane")]).name == "jane"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"requestheader-client-ca-file": ""}, "no requestheader-client-ca-file.*--proxy-client-cert-file"),
        ({"requestheader-client-ca-file": "no PEM"}, "no requestheader-client-ca-file"),
        ({"requestheader-username-headers": "[]"}, "no requestheader-username-headers"),
        ({"requestheader-allowed-names": "front-proxy-client"}, "requestheader-allowed-names is no list"),
        ({"requestheader-group-headers": json.dumps({"a": 1})}, "requestheader-group-headers is no list"),
    ],
)
def test_what_nobody_could_be_told_by_is_refused_with_the_remedy(change: dict[str, str], why: str) -> None:
    with pytest.raises(FrontProxyError, match=why):
        read_front_proxy(DATA | change)


def test_without_a_config_map_nobody_is_served() -> None:
    with pytest.raises(FrontProxyError):
        read_front_proxy(None)

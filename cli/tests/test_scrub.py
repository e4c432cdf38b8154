"""What goes into an archive for support has no secret in it."""

import json
import string

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from streamingstack_cli.doctor.scrub import HIDDEN, scrubbed, scrubbed_text

TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJpc3N1ZXIifQ.c2lnbmF0dXJl"


def test_tokens_credentials_and_urls_are_hidden_and_the_rest_stays() -> None:
    text = (
        f"license {TOKEN} read; Authorization: Bearer-abc\nGET https://user:pass@host/path?sig=1 "
        'api_key="sesame" password=open {"token": "abc"} sessions=12'
    )
    found = scrubbed_text(text)
    for secret in (TOKEN, "Bearer-abc", "user:pass", "sig=1", "sesame", "open", '"abc"'):
        assert secret not in found
    assert "license *** read" in found
    assert "host/path?***" in found
    assert "sessions=12" in found


HEADERS = {
    "of a dump": "< authorization: {}\r\n< via: nginx",
    "of curl": "curl -H 'Authorization: {}' host",
    "of a proxy": "Proxy-Authorization={}",
    "in JSON": '{{"headers": {{"Authorization": "{}"}}, "path": "/v3/ws"}}',
    "in JSON within JSON": '{{"event": "{{\\"authorization\\": \\"{}\\"}}"}}',
    "of Python": "{{'authorization': '{}', 'host': 'x'}}",
    "of an ASGI server": "[(b'authorization', b'{}'), (b'host', b'x')]",
}
SCHEMES = {
    "none": "{}",
    "Bearer": "Bearer {}",
    "in small letters": "bearer  {}",
    "Basic": "Basic {}",
    "Token": "Token {}",
    "Digest": "Digest username=demo, response={}, realm=x",
}
_TOKENS = st.text(string.ascii_uppercase + string.digits + "-._~+/=", min_size=6, max_size=40)


@given(st.sampled_from(sorted(HEADERS)), st.sampled_from(sorted(SCHEMES)), _TOKENS)
@settings(max_examples=400)
def test_nothing_of_a_header_that_proves_who_asks_is_left(header: str, scheme: str, token: str) -> None:
    found = scrubbed_text("before " + HEADERS[header].format(SCHEMES[scheme].format(token)))
    assert not _parts(token) & _parts(found)
    assert found.startswith("before ")


def _parts(text: str) -> set[str]:
    """Every six characters in a row."""
    return {text[start : start + 6] for start in range(len(text) - 5)}


@given(token=_TOKENS)
def test_a_bearer_token_is_hidden_wherever_it_stands(token: str) -> None:
    assert scrubbed_text(f"refused Bearer {token} of demo") == "refused Bearer *** of demo"


@given(
    st.sampled_from(["password", "api_key", "x-api-key", "HF_TOKEN", "client_secret"]),
    st.text(min_size=1, max_size=40).filter(lambda value: value.strip() and value not in HIDDEN),
)
def test_a_quoted_value_is_hidden_to_its_end(name: str, value: str) -> None:
    found = scrubbed_text(json.dumps({"event": "started", name: value}))
    assert found.removesuffix('"}') == f'{{"event": "started", "{name}": "{HIDDEN}'


@given(st.text(min_size=4, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_known_secret_is_never_left_over(secret: str, before: str, after: str) -> None:
    # What replaces it must not bring it back.
    if secret not in HIDDEN:
        assert secret not in scrubbed_text(f"{secret}", {secret})
        assert secret not in scrubbed_text(f"{before}\n{secret}\n{after}", {secret}).replace(before, "").replace(
            after, ""
        )


def test_of_a_secret_only_that_it_is_there_is_kept() -> None:
    found = scrubbed({"kind": "Secret", "metadata": {"name": "license"}, "data": {"license.jwt": "c2VzYW1l"}})
    assert found == {"kind": "Secret", "metadata": {"name": "license"}}


def test_variables_with_telling_names_lose_their_values() -> None:
    env = [{"name": "HF_TOKEN", "value": "hf_sesame"}, {"name": "MAX_SESSIONS", "value": "48"}]
    found = scrubbed({"kind": "Pod", "spec": {"containers": [{"name": "gateway", "env": env}]}})
    assert "hf_sesame" not in yaml.safe_dump(found)
    assert found["spec"]["containers"][0]["env"][1] == {"name": "MAX_SESSIONS", "value": "48"}


def test_what_others_wrote_about_the_object_is_left_out() -> None:
    last = json.dumps({"spec": "sesame"})
    metadata = {
        "name": "x",
        "managedFields": [1],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last},
    }
    assert scrubbed({"metadata": metadata}) == {"metadata": {"name": "x", "annotations": {}}}

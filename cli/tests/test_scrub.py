"""What goes into an archive for support has no secret in it."""

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st
from streamingstack_cli.doctor.scrub import HIDDEN, scrubbed, scrubbed_text

TOKEN = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJpc3N1ZXIifQ.c2lnbmF0dXJl"


def test_tokens_credentials_and_urls_are_hidden_and_the_rest_stays() -> None:
    text = (
        f"license {TOKEN} read; Authorization: Bearer-abc, GET https://user:pass@host/path?sig=1 "
        'api_key="sesame" password=open {"token": "abc"} sessions=12'
    )
    found = scrubbed_text(text)
    for secret in (TOKEN, "Bearer-abc", "user:pass", "sig=1", "sesame", "open", '"abc"'):
        assert secret not in found
    assert "license *** read" in found
    assert "host/path?***" in found
    assert "sessions=12" in found


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

from datetime import UTC, datetime, timedelta

import pytest
from license_token import SigningKey, development_claims, issue
from streaming_operator.inputs import judge_license

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY, OTHER = SigningKey.generate(), SigningKey.generate()
JWKS = KEY.public_keys().to_json().encode()
CLAIMS = development_claims("customer", NOW)
TOKEN = issue(CLAIMS, KEY.private_key, KEY.key_id).encode()


def test_a_genuine_licence_tells_when_it_expires_whether_or_not_that_is_over() -> None:
    old = issue(development_claims("customer", NOW - timedelta(days=900)), KEY.private_key, KEY.key_id)
    fact = judge_license(TOKEN + b"\n", JWKS)
    assert (fact.state, fact.expires, fact.customer) == ("Genuine", CLAIMS.expires_at, "customer")
    assert judge_license(old.encode(), JWKS).state == "Genuine"


@pytest.mark.parametrize(
    ("token", "keys", "state"),
    [
        (issue(CLAIMS, OTHER.private_key, OTHER.key_id).encode(), JWKS, "Forged"),
        (issue(CLAIMS, OTHER.private_key, KEY.key_id).encode(), JWKS, "Forged"),
        (TOKEN[:40], JWKS, "Unreadable"),
        (b"", JWKS, "Unreadable"),
        (b"\xff\xfe", JWKS, "Unreadable"),
        (TOKEN, b"{}", "NoPublicKeys"),
        (TOKEN, b"\xff", "NoPublicKeys"),
    ],
    ids=["another issuer", "another's name", "cut off", "empty", "no text", "no keys", "keys are no JSON"],
)
def test_a_licence_that_is_none_says_what_is_wrong_and_nothing_of_itself(token: bytes, keys: bytes, state: str) -> None:
    fact = judge_license(token, keys)
    assert (fact.state, fact.expires) == (state, None)
    assert fact.detail
    assert not any(part and part in fact.detail for part in token.decode("latin-1").split("."))

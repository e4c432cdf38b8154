"""Temporary tokens by themselves: what verifies, until when, and what never does."""

import base64
import json
import string
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stack_model.api_keys import ApiKey
from streaming_gateway.auth import Authenticator
from streaming_gateway.problems import Problem
from streaming_gateway.tokens import Token, TokenExpired, issue_token, parse_secrets, read_token

SECRET, OTHER = "a-secret-of-thirty-two-bytes-....", "another-one-of-thirty-two-bytes.."
HASH, OTHER_HASH = "a" * 64, "b" * 64
NOW = 1_800_000_000.25


def issued(secret: str = SECRET, now: float = NOW, lifetime: int = 60, cap: int = 600, jti: str = "one") -> str:
    return issue_token(secret, HASH, now=now, lifetime_seconds=lifetime, session_seconds=cap, jti=jti)


def read(text: str, *secrets: str, now: float = NOW) -> Token | None:
    return read_token(text, secrets or (SECRET,), now)


@given(cap=st.integers(60, 10_800), lifetime=st.integers(1, 600), now=st.floats(1.7e9, 2.5e9))
def test_a_token_says_its_cap_and_is_of_its_key_alone(cap: int, lifetime: int, now: float) -> None:
    token = read(issued(now=now, lifetime=lifetime, cap=cap), now=now + lifetime - 0.01)
    assert token
    assert token.session_seconds == cap
    assert token.is_of(HASH)
    assert not token.is_of(OTHER_HASH)


def test_a_token_ends_with_its_time() -> None:
    text = issued(lifetime=1)
    assert read(text, now=NOW + 1)
    with pytest.raises(TokenExpired):
        read(text, now=NOW + 2)


def test_two_tokens_of_one_second_are_two_and_each_is_the_same_whenever_it_is_read() -> None:
    one, two = read(issued(jti="one")), read(issued(jti="two"))
    assert one
    assert two
    assert one.id != two.id
    assert one == read(issued(jti="one"), OTHER, SECRET, now=NOW + 30)
    assert one.expires_at == int(NOW + 60) + 1


@given(st.integers(0, 63))
def test_no_token_has_another_spelling_that_would_be_another_token(other: int) -> None:
    text = issued()
    last = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_")[other]
    token = read(text[:-1] + last)
    assert token is None or last == text[-1]


def test_a_gateway_makes_no_two_alike() -> None:
    makes = Authenticator(None, lambda: [SECRET], lambda: NOW)
    made = {makes.token("any", lifetime_seconds=60, session_seconds=60) for _ in range(50)}
    assert len(made) == 50


def test_a_new_secret_signs_and_the_old_one_goes_on_verifying() -> None:
    old = issued(OTHER)
    token = read(old, SECRET, OTHER)
    assert token
    assert token.is_of(HASH)
    assert read(old, SECRET) is None
    made = Authenticator(None, lambda: [SECRET, OTHER]).token("any", lifetime_seconds=60, session_seconds=60)
    assert jwt.decode(made, SECRET, algorithms=["HS256"])["cap"] == 60


def test_a_token_tells_its_bearer_nothing_of_the_key_or_the_secret() -> None:
    text = issued()
    claims = jwt.decode(text, options={"verify_signature": False})
    assert set(claims) == {"exp", "key", "cap", "jti"}
    assert claims["key"] not in HASH
    assert SECRET not in repr(read(text))


@settings(max_examples=300)
@given(st.data())
def test_any_changed_byte_is_an_invalid_key(data: st.DataObject) -> None:
    text = issued()
    at = data.draw(st.integers(0, len(text) - 1))
    alphabet = string.ascii_letters + string.digits + "-_.=+/ \n\0é"
    other = data.draw(st.sampled_from([character for character in alphabet if character != text[at]]))
    changed = text[:at] + other + text[at + 1 :]
    assert read(changed) is None
    with pytest.raises(Problem) as refused:
        Authenticator(lambda: [ApiKey(HASH, "team")], lambda: [SECRET], lambda: NOW).caller(changed)
    assert (refused.value.code, refused.value.text) == (1008, "Unauthorized Connection: Invalid API key")


@pytest.mark.parametrize(
    "change", [lambda t: t + "A", lambda t: t[:-1], lambda t: "A" + t, lambda t: t + ".", lambda t: t + "="]
)
def test_nor_may_one_be_added_or_taken(change: Any) -> None:
    assert read(change(issued())) is None


@given(st.text() | st.text("ey.JhbGciO-_=", max_size=500))
def test_whatever_else_is_sent_is_no_token_and_no_crash(text: str) -> None:
    assert read(text) is None


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


UNSIGNED = encoded(b'{"alg":"none"}') + "." + encoded(json.dumps({"exp": 2**40, "key": "x", "cap": 60}).encode()) + "."
DEEP = encoded(b"[" * 300) + "." + encoded(b"[" * 30) + ".AAAA"


@pytest.mark.parametrize("text", [UNSIGNED, DEEP, "..", ".", "a.b.c", "\ud800.\udc00.x", "A" * 100_000])
def test_what_only_looks_like_a_token_is_none(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"exp": "soon", "key": "k", "cap": 60},
        {"exp": 2**40, "key": 7, "cap": 60},
        {"exp": 2**40, "key": "k", "cap": 0},
        {"exp": 2**40, "key": "k"},
        {"exp": 2**40, "key": "k", "cap": True},
    ],
)
def test_what_somebody_else_signs_with_the_secret_needs_our_claims(claims: dict[str, Any]) -> None:
    assert read(jwt.encode(claims, SECRET, algorithm="HS256")) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no token secret in the file"),
        ("\n \n", "no token secret in the file"),
        ("short", "line 1: a token secret needs 32 bytes"),
        (f"{SECRET}\n\nshort\n", "line 3: a token secret needs 32 bytes"),
    ],
)
def test_secrets_that_are_too_short_or_missing_are_refused_by_line_and_never_quoted(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named) as refused:
        parse_secrets(text)
    assert "openssl rand -hex 32" in str(refused.value)
    assert "short" not in str(refused.value)


def test_secrets_are_lines() -> None:
    assert parse_secrets(f"  {SECRET}\n\n{OTHER}\n") == [SECRET, OTHER]

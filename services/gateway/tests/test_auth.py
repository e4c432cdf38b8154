"""Who may come in with the keys of a file."""

import hashlib
import hmac
from typing import Any

import pytest
from stack_model.api_keys import ApiKey, parse_keys
from streaming_gateway.auth import Authenticator
from streaming_gateway.problems import Problem

HASH = hashlib.sha256(b"one").hexdigest()


def test_every_key_is_compared_in_constant_time_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Any, Any]] = []
    honest = hmac.compare_digest

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return honest(one, other)

    monkeypatch.setattr("stack_model.api_keys.hmac.compare_digest", compare)
    keys = [ApiKey(hashlib.sha256(name.encode()).hexdigest(), name) for name in ("one", "two", "three")]
    authenticator = Authenticator(lambda: keys, None)
    for credential in ("one", "Bearer two", "three"):
        compared.clear()
        assert authenticator.caller(credential).key.name in credential
        assert len(compared) == 6
    compared.clear()
    with pytest.raises(Problem):
        authenticator.caller("four")
    assert len(compared) == 6


def test_of_two_lines_with_one_key_the_last_one_holds() -> None:
    keys = parse_keys(f"{HASH} old\n{HASH} new max_sessions=2\n")
    assert Authenticator(lambda: keys, None).caller("one").key == ApiKey(HASH, "new", 2)

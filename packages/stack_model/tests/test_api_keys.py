"""The lines of the file of API keys."""

import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stack_model.api_keys import ApiKey, find_key, parse_keys

HASH = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
WORDS = st.text("abcXYZ09-_.=äß", min_size=1, max_size=20).filter(lambda word: not word.startswith("max_"))
LIMITS = st.none() | st.integers(1, 1_000_000)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        (HASH, ApiKey(HASH, f"key-{HASH[:8]}")),
        (f"  {HASH.upper()}   team one  # ours", ApiKey(HASH, "team one")),
        (f"{HASH} team max_sessions=5 max_new_per_minute=30", ApiKey(HASH, "team", 5, 30)),
        (f"{HASH} team max_new_per_minute=30", ApiKey(HASH, "team", None, 30)),
        (f"\t{HASH}\tteam\tmax_sessions=5\r", ApiKey(HASH, "team", 5)),
        (f"{HASH} max_sessions=5", ApiKey(HASH, f"key-{HASH[:8]}", 5)),
        (f"{HASH} max_sessions=5 team two", ApiKey(HASH, "team two", 5)),
        (f"{HASH} a=b xmax_sessions=5", ApiKey(HASH, "a=b xmax_sessions=5")),
    ],
)
def test_a_line_is_a_hash_a_name_and_limits(line: str, key: ApiKey) -> None:
    assert parse_keys(f"# keys\n\n{line}\n") == [key]


@given(words=st.lists(WORDS, max_size=3), sessions=LIMITS, new=LIMITS, first=st.booleans())
def test_limits_and_names_of_every_kind_are_told_apart(
    words: list[str], sessions: int | None, new: int | None, first: bool
) -> None:
    limits = [f"max_sessions={sessions}"] * (sessions is not None) + [f"max_new_per_minute={new}"] * (new is not None)
    line = " ".join([HASH, *(limits + words if first else words + limits)])
    name = " ".join(words) or f"key-{HASH[:8]}"
    assert parse_keys(line) == [ApiKey(HASH, name, sessions, new)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("not-a-hash team", "expected the sha256 of a key in hexadecimal"),
        (f"{HASH}team", "expected the sha256"),
        (f"{HASH} {'x' * 101}", "at most 100 characters"),
        (f"{HASH} team max_sessions=", "max_sessions must be a whole number from 1 to 1000000"),
        (f"{HASH} team max_sessions=0", "leave it out where there is no limit"),
        (f"{HASH} team max_sessions=-1", "max_sessions must be a whole number"),
        (f"{HASH} team max_sessions=1.5", "max_sessions must be a whole number"),
        (f"{HASH} team max_sessions=٣", "max_sessions must be a whole number"),
        (f"{HASH} team max_sessions={'9' * 5000}", "max_sessions must be a whole number"),
        (f"{HASH} team max_new_per_minute=many", "max_new_per_minute must be a whole number"),
        (f"{HASH} team max_session=5", "a limit is max_sessions or max_new_per_minute"),
        (f"{HASH} team max_sessions=5 max_sessions=6", "max_sessions is given twice"),
    ],
)
def test_a_line_that_is_wrong_is_named_with_its_remedy_and_not_quoted(line: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        parse_keys(f"{HASH} fine\n# a comment\n{line}\n")
    assert str(refused.value).startswith("line 3: ")
    assert "not-a-hash" not in str(refused.value)


@given(st.text(max_size=300))
def test_any_text_is_keys_or_a_named_line(text: str) -> None:
    told = ""
    try:
        keys = parse_keys(text)
    except ValueError as wrong:
        told = str(wrong)
    assert told.startswith("line ") or all(len(key.sha256) == 64 for key in keys)


def test_a_mark_tells_keys_apart_and_holds_nothing_of_their_hashes() -> None:
    one, other = ApiKey(HASH, "one", 3), ApiKey("b" * 64, "other")
    assert one.mark == ApiKey(HASH, "renamed").mark != other.mark
    assert one.mark not in HASH
    assert (one.limited, other.limited, ApiKey(HASH, "", None, 1).limited) == (True, False, True)


@given(st.text(min_size=1, max_size=30).filter(lambda text: text == text.strip()), st.booleans())
def test_a_key_is_found_by_its_letters_and_by_the_bytes_of_a_header(key: str, bearer: bool) -> None:
    known = ApiKey(hashlib.sha256(key.encode()).hexdigest(), "team")
    other = ApiKey(hashlib.sha256(b"another").hexdigest(), "other")
    sent = f"Bearer {key}" if bearer else key
    for credential in (sent, sent.encode().decode("ascii", "surrogateescape")):
        assert find_key([known, other], credential) == known
        assert find_key([other], credential + "x") is None


COMMON = ["password", "secret", "key", "test", "admin", "changeme", "letmein", "demo", "self-hosted", "foo", "bar"]


def test_no_key_of_an_example_is_one_that_somebody_may_have() -> None:
    """A line that is copied as it stands must open nothing: a word has a hash that is known."""
    root = Path(__file__).parents[3]
    pages = [path for folder in ("docs", "examples", "charts") for path in (root / folder).rglob("*.[my]*")]
    text = "\n".join(path.read_text() for path in [*pages, root / "README.md"])
    hashes = set(re.findall(r"\b[0-9a-f]{64}\b", text))
    words = {*COMMON, *re.findall(r"[\w-]+", text.lower())}
    guesses = (word + end for word in words for end in ("", *map(str, range(10)), "123", "!"))
    guessed = {guess for guess in guesses if hashlib.sha256(guess.encode()).hexdigest() in hashes}
    assert hashes
    assert guessed == set()

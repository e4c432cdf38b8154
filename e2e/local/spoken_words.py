"""What was said, word by word: for tests that look for it where nothing spoken may be."""

import re


def triples(said: list[str]) -> set[tuple[str, str, str]]:
    """Every three words in a row."""
    return set(zip(said, said[1:], said[2:], strict=False))


def words(text: str) -> list[str]:
    """Words of at least two letters, without what looks like an identifier."""
    plain = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", " ", text.lower())
    return re.findall(r"[a-z']{2,}", plain)

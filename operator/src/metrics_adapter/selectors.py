"""Label selectors as in a query to the API server: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`. Pure."""

import re
from collections.abc import Callable, Mapping

Matches = Callable[[Mapping[str, str]], bool]

_PREFIX = r"(?:[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*/)?"
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_KEY = rf"{_PREFIX}{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_SET = re.compile(rf"\s*(?P<key>{_KEY})\s+(?P<how>in|notin)\s*\(\s*(?P<values>{_VALUE}(?:\s*,\s*{_VALUE})*)\s*\)\s*")
_EQUAL = re.compile(rf"\s*(?P<key>{_KEY})\s*(?P<how>==|=|!=)\s*(?P<value>{_VALUE})\s*")
_EXISTS = re.compile(rf"\s*(?P<not>!?)\s*(?P<key>{_KEY})\s*")


class SelectorError(ValueError):
    """No label selector; the text says from where on."""


def selector(text: str) -> Matches:
    """Whether labels fulfil all requirements; an empty text selects everything. Raises SelectorError."""
    requirements: list[Matches] = []
    at = 0
    while text[at:].strip() or requirements:
        for pattern, requirement in ((_SET, _in_set), (_EQUAL, _equal), (_EXISTS, _exists)):
            found = pattern.match(text, at)
            if found and (found.end() == len(text) or text[found.end()] == ","):
                requirements.append(requirement(found))
                break
        else:
            raise SelectorError(f"no label selector from {text[at : at + 40]!r} on")
        if found.end() == len(text):
            break
        at = found.end() + 1
    return lambda labels: all(fulfilled(labels) for fulfilled in requirements)


def _in_set(found: re.Match[str]) -> Matches:
    key, values = found["key"], {value.strip() for value in found["values"].split(",")}
    if found["how"] == "in":
        return lambda labels: key in labels and labels[key] in values
    # As the API server has it: a label that is not there is in no set.
    return lambda labels: labels.get(key) not in values


def _equal(found: re.Match[str]) -> Matches:
    key, value = found["key"], found["value"]
    if found["how"] == "!=":
        return lambda labels: labels.get(key) != value
    return lambda labels: labels.get(key) == value


def _exists(found: re.Match[str]) -> Matches:
    key, absent = found["key"], bool(found["not"])
    return lambda labels: (key in labels) != absent

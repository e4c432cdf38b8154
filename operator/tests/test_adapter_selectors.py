"""Label selectors mean what they mean to the API server."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metrics_adapter.selectors import SelectorError, selector
from streaming_operator import names

LABELS = {"app": "gateway", "tier": "", "streamingstack.dev/pool": "en"}
CASES = {
    "": True,
    "  ": True,
    "app=gateway": True,
    "app==gateway": True,
    "app = gateway , tier=": True,
    "app=asr": False,
    "app!=asr": True,
    "missing!=x": True,
    "missing=": False,
    "app": True,
    "missing": False,
    "!missing": True,
    "!app": False,
    "app in (asr, gateway)": True,
    "app in (asr)": False,
    "app notin (asr,gateway)": False,
    "missing notin (a)": True,
    "tier in ()": True,
    "streamingstack.dev/pool=en,app in (gateway),!other": True,
    "streamingstack.dev/pool=en,app=asr": False,
}


@pytest.mark.parametrize("text", CASES)
def test_a_selector_selects(text: str) -> None:
    assert selector(text)(LABELS) is CASES[text]


@pytest.mark.parametrize(
    "text", ["=a", "a=b=c", "a in b", "a in (b", "a,,b", "a,", "a b", "-a=b", "a=b;c", "a>1", "(a)"]
)
def test_what_is_none_is_refused_with_the_place(text: str) -> None:
    with pytest.raises(SelectorError, match="from '"):
        selector(text)


@given(st.text(max_size=40))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    with contextlib.suppress(SelectorError):
        assert selector(text)(LABELS) in (True, False)


NAME = st.from_regex(r"[a-z]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True)


@given(st.dictionaries(NAME, NAME, max_size=5), st.dictionaries(NAME, NAME, max_size=5))
def test_match_labels_are_a_subset(wanted: dict[str, str], labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    assert selector(text)(labels) is (wanted.items() <= labels.items())


def test_the_selectors_of_our_deployments_find_their_pods() -> None:
    text = ",".join(f"{key}={value}" for key, value in names.selector("demo", names.ASR, "en").items())
    assert selector(text)(names.labels("demo", names.ASR, "en"))
    assert not selector(text)(names.labels("demo", names.ASR, "ml"))
    assert not selector(text)(names.labels("demo", names.GATEWAY))

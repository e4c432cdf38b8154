"""Source URIs: what each means, and how a wrong one is refused."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_store.digest import model_digest
from model_store.errors import SourceError, UnsafePathError
from model_store.uris import (
    FileSource,
    HttpSource,
    HubSource,
    PypiSource,
    S3Source,
    Source,
    parse_source,
    printable,
    safe_path,
)


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("pypi://pipecat-ai==1.14.0/pipecat/vad.onnx", PypiSource("pipecat-ai", "1.14.0", "pipecat/vad.onnx")),
        ("pypi://a==1", PypiSource("a", "1", "")),
        ("pypi://a==1/folder/", PypiSource("a", "1", "folder")),
        ("https://host:8443/a/model.bin?sig=x", HttpSource("https://host:8443/a/model.bin?sig=x")),
        ("hf://owner/model@main", HubSource("owner/model", "main", "")),
        ("hf://owner/mo.del@v1/sub/model.bin", HubSource("owner/mo.del", "v1", "sub/model.bin")),
        ("hf://owner/model@refs%2Fpr%2F1/x", HubSource("owner/model", "refs/pr/1", "x")),
        ("file:///srv/models/my%20one", FileSource(Path("/srv/models/my one"))),
        ("s3://bucket/models/base/", S3Source("bucket", "models/base/")),
    ],
)
def test_each_scheme_is_taken_apart(uri: str, source: Source) -> None:
    assert parse_source(uri) == source


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("model.bin", "no source URI"),
        ("ftp://host/x", "unknown scheme 'ftp'"),
        ("pvc://claim/x", "mounted by Kubernetes"),
        ("image://ref/x", "mounted by Kubernetes"),
        ("pypi://name/x", "pypi://distribution==version"),
        ("pypi://name==1/../../etc/passwd", "must not contain '..'"),
        ("https://host", "https://host/path"),
        ("https:///path", "https://host/path"),
        ("https://host:port/path", "[Pp]ort"),
        ("hf://owner/model", "hf://owner/model@revision"),
        ("hf://model@main", "hf://owner/model@revision"),
        ("hf://owner/model@main/../x", "must not contain '..'"),
        ("file://models/x", "absolute path"),
        ("s3://B/x", "s3://bucket/key"),
    ],
)
def test_a_wrong_uri_is_named_with_the_form_that_was_expected(uri: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse_source(uri)


@given(st.text(max_size=60))
def test_parsing_ends_in_a_source_or_a_source_error(text: str) -> None:
    for uri in (text, *(f"{scheme}://{text}" for scheme in ("pypi", "https", "hf", "file", "s3"))):
        with contextlib.suppress(SourceError):
            assert isinstance(parse_source(uri), PypiSource | HttpSource | HubSource | FileSource | S3Source)


@given(st.text(alphabet="ab/.\\\0", max_size=20))
def test_a_safe_path_never_leaves_its_folder(path: str) -> None:
    try:
        pure = safe_path(path)
    except UnsafePathError:
        return
    assert (Path("/model") / pure).resolve().is_relative_to("/model")
    assert (Path("/model") / pure).resolve() != Path("/model")


def test_what_is_printed_of_a_url_holds_no_secret() -> None:
    assert printable("https://user:pass@host:1/a/b?token=t#f") == "https://host:1/a/b"


def test_a_models_digest_depends_on_paths_and_digests_not_on_order() -> None:
    one = model_digest({"a": "1" * 64, "b": "2" * 64})
    assert one == model_digest({"b": "2" * 64, "a": "1" * 64})
    assert one != model_digest({"a": "2" * 64, "b": "1" * 64})

"""What a store may forget, and how its states are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_store.serving.states import ModelState, State, unwanted_digests, unwanted_partials
from stack_model.api import Model
from stack_model.stored_models import (
    StoredModel,
    StoredModelsError,
    dump_stored_models,
    needs_store,
    parse_stored_models,
    stored_model,
)

A, B = "a" * 64, "b" * 64


def model(name: str = "en-default", source: str = "hf://owner/one@main") -> StoredModel:
    return StoredModel(name=name, source=source)


def test_a_digest_that_is_served_stays_under_whatever_name_it_was_fetched() -> None:
    assert unwanted_digests({A: "old-name"}, [ModelState(model()).ready(A, 1)]) == set()


def test_a_model_out_of_the_list_goes() -> None:
    assert unwanted_digests({A: "gone", B: "en-default"}, [ModelState(model()).ready(B, 1)]) == {A}


def test_the_former_content_stays_while_the_new_one_comes_unless_there_is_no_room() -> None:
    coming = [ModelState(model()).fetching()]
    assert unwanted_digests({A: "en-default"}, coming) == set()
    assert unwanted_digests({A: "en-default"}, coming, no_room=True) == {A}


@given(
    kept=st.dictionaries(st.sampled_from([A, B, "c" * 64]), st.sampled_from(["one", "two", "three"])),
    served=st.lists(st.sampled_from([A, B, None]), max_size=2),
    no_room=st.booleans(),
)
def test_nothing_that_is_served_is_ever_forgotten(
    kept: dict[str, str], served: list[str | None], no_room: bool
) -> None:
    names = ["one", "two"]
    states = [
        ModelState(model(name)).ready(digest, 1) if digest else ModelState(model(name))
        for name, digest in zip(names, served, strict=False)
    ]
    assert not unwanted_digests(kept, states, no_room=no_room) & set(filter(None, served))


def test_beginnings_stay_for_the_models_that_are_still_to_come() -> None:
    waiting, there = model("one", "hf://owner/one@main"), model("two", "hf://owner/two@main")
    states = [ModelState(waiting).failed("no answer", 1.0), ModelState(there).ready(A, 1)]
    partials = {"k1": waiting.identity, "k2": there.identity, "k3": "f" * 64}
    assert unwanted_partials(partials, states) == {"k2", "k3"}


def test_an_error_is_shown_until_the_model_is_there() -> None:
    failed = ModelState(model()).failed("no answer; check the network", 1.0)
    assert failed.shown()["error"] == "no answer; check the network"
    assert failed.fetching().shown()["error"] == "no answer; check the network"
    assert failed.ready(A, 7).shown() == {
        "name": "en-default",
        "identity": model().identity,
        "state": State.READY,
        "bytesDone": 7,
        "bytesTotal": 7,
        "digest": A,
        "error": None,
        "retryAt": None,
    }


def test_a_models_list_survives_being_written_and_read() -> None:
    files = [{"path": "model.bin", "parts": ["https://mirror.example/a?x=1#y"], "sha256": A}]
    models = [model(), StoredModel.model_validate({"name": "ml-default", "files": files})]
    assert parse_stored_models(dump_stored_models(models)) == models


def test_identity_follows_the_source_and_the_content_and_no_mirror() -> None:
    def of(mirror: str, sha256: str) -> str:
        return StoredModel.model_validate(
            {"name": "m", "files": [{"path": "model.bin", "parts": [mirror], "sha256": sha256}]}
        ).identity

    assert of("https://one.example/a", A) == of("https://two.example/a", A)
    assert of("https://one.example/a", A) != of("https://one.example/a", B)
    assert model(source="hf://o/m@v1").identity != model(source="hf://o/m@v2").identity


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("models: [", "line"),
        ("[]", "models"),
        ("models: [{name: m}]", "set exactly one of source and files"),
        ("models: [{name: m, source: 'hf://a/b@c'}, {name: m, source: 'hf://a/b@c'}]", "m appears twice"),
        ("models: [{name: M M, source: 'hf://a/b@c'}]", "models.0.name"),
    ],
)
def test_a_wrong_list_is_refused_with_the_field(text: str, says: str) -> None:
    with pytest.raises(StoredModelsError, match=says):
        parse_stored_models(text)


def test_a_refused_list_quotes_no_credential() -> None:
    with pytest.raises(StoredModelsError) as refused:
        parse_stored_models("models: [{name: M M, source: 'https://user:sesame@host/x', sauce: 'sesame'}]")
    assert "sesame" not in str(refused.value)


def test_what_kubernetes_mounts_needs_no_store() -> None:
    def stacked(source: str) -> Model:
        return Model(name="m", speech_models=["universal-streaming-english"], source=source)

    assert not needs_store(stacked("pvc://claim/path"))
    assert not needs_store(stacked("image://registry.example/model:1/models"))
    assert needs_store(stacked("hf://owner/model@main"))
    assert stored_model(stacked("hf://owner/model@main")) == StoredModel(name="m", source="hf://owner/model@main")

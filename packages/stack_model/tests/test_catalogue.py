"""Rules of the gateway's catalogue."""

from pathlib import Path
from typing import Any

import pytest
from stack_model.api import Gpu, PoolAutoscaling, load_stack
from stack_model.catalogue import CatalogueError, dump_models, family_of, gateway_models, parse_models

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_every_speech_model_of_a_stack_is_listed_with_its_route_and_family() -> None:
    models = gateway_models(load_stack(EXAMPLES / "all-models.yaml"))
    assert [(model.speech_model, model.route, model.family) for model in models] == [
        ("universal-streaming-english", "en-default", "universal"),
        ("universal-streaming-multilingual", "ml-default", "universal"),
        ("universal-3-5-pro", "u3-pro", "universal-3"),
    ]


def test_the_other_routes_of_a_model_lead_to_it_too() -> None:
    models = parse_models(dump_models(gateway_models(load_stack(EXAMPLES / "all-models.yaml"))))
    assert [model.routes for model in models] == [("en-default",), ("ml-default",), ("u3-pro", "universal-3-5-pro")]


def test_a_dumped_catalogue_reads_back_the_same() -> None:
    models = gateway_models(load_stack(EXAMPLES / "all-models.yaml"))
    assert parse_models(dump_models(models)) == models


def test_the_stacks_default_model_is_marked_in_its_catalogue() -> None:
    stack = load_stack(EXAMPLES / "universal.yaml")
    assert not any(model.default for model in gateway_models(stack))
    gateway = stack.spec.gateway.model_copy(update={"default_speech_model": "universal-streaming-multilingual"})
    chosen = stack.model_copy(update={"spec": stack.spec.model_copy(update={"gateway": gateway})})
    assert [model.default for model in parse_models(dump_models(gateway_models(chosen)))] == [False, True]


@pytest.mark.parametrize(
    ("changed", "seconds"),
    [
        ({}, None),
        ({"rollout": "Replace"}, 360),
        ({"rollout": "Replace", "startup_seconds": 900}, 960),
        ({"rollout": "Replace", "autoscaling": PoolAutoscaling(min_replicas=2)}, None),
        ({"gpu": Gpu()}, 360),
        ({"gpu": Gpu(), "rollout": "Surge"}, None),
    ],
)
def test_sessions_of_a_pod_that_is_replaced_in_place_wait_for_as_long_as_it_starts(
    changed: dict[str, Any], seconds: int | None
) -> None:
    stack = load_stack(EXAMPLES / "minimal.yaml")
    models = [model.model_copy(update=changed) for model in stack.spec.models]
    other = stack.model_copy(update={"spec": stack.spec.model_copy(update={"models": models})})
    assert [model.buffer_seconds for model in parse_models(dump_models(gateway_models(other)))] == [seconds]


def test_a_family_may_be_set_where_the_name_tells_none() -> None:
    (model,) = parse_models('[{"speech_model": "house-model", "route": "house", "family": "universal"}]')
    assert model.family == "universal"
    assert family_of("u3-rt-pro") == "universal-3"


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ("[]", "at least one"),
        ("{", "list"),
        ('[{"route": "x"}]', "0.speech_model"),
        ('[{"speech_model": "house-model", "route": "x"}]', "house-model"),
        ('[{"speech_model": "u3-a", "route": "x"}, {"speech_model": "u3-a", "route": "y"}]', "u3-a appears twice"),
        ('[{"speech_model": "u3-a", "route": "x", "colour": "red"}]', "0.colour"),
        (
            '[{"speech_model": "u3-a", "route": "x", "default": true},'
            ' {"speech_model": "u3-b", "route": "y", "default": true}]',
            "default: mark at most one",
        ),
        ('[{"speech_model": "u3-a b", "route": "x"}]', "0.speech_model: .*ASCII characters without spaces"),
        ('[{"speech_model": "u3-caf\u00e9", "route": "x"}]', "0.speech_model: .*ASCII"),
        ('[{"speech_model": "u3-a\\n", "route": "x"}]', "0.speech_model: .*ASCII"),
        ('[{"speech_model": "", "route": "x", "family": "universal"}]', "0.speech_model: .*1 to 128"),
        (f'[{{"speech_model": "u3-{"a" * 126}", "route": "x"}}]', "0.speech_model: .*1 to 128"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_the_field_named(document: str, named: str) -> None:
    with pytest.raises(CatalogueError, match=named):
        parse_models(document)


def test_a_stack_with_a_speech_model_that_no_usage_could_name_is_refused(tmp_path: Path) -> None:
    text = (EXAMPLES / "universal.yaml").read_text()
    wrong = tmp_path / "stack.yaml"
    wrong.write_text(text.replace("universal-streaming-english", "universal-streaming-\u00e9nglish"))
    with pytest.raises(ValueError, match=r"speechModels.*ASCII characters without spaces"):
        load_stack(wrong)

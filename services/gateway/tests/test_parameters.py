"""Parameters of the query and of UpdateConfiguration: what is taken, what is refused and how it is said."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from stack_model.catalogue import GatewayModel
from streaming_gateway.catalogue import Catalogue
from streaming_gateway.parameters import SessionConfig, Universal3Defaults, read_query, read_update, resolve
from streaming_gateway.parameters.model import ConnectParameters, Tunable
from streaming_gateway.parameters.reference import reference_page
from streaming_gateway.problems import Problem
from streaming_gateway.settings import GatewaySettings

ENGLISH = GatewayModel(speech_model="universal-streaming-english", route="en-default", family="universal")
MULTI = GatewayModel(speech_model="universal-streaming-multilingual", route="ml-default", family="universal")
U3 = GatewayModel(speech_model="universal-3-5-pro", route="u3-pro", family="universal-3")
ALL = Catalogue((ENGLISH, MULTI, U3))
ON_U3 = {"speech_model": "universal-3-5-pro"}


def config(catalogue: Catalogue = ALL, /, **query: Any) -> SessionConfig:
    return resolve(read_query(urlencode(query))[0], catalogue)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"speech_model": "nope"}, "Invalid 'speech_model': Input should be 'universal-streaming-english', "),
        ({"speech_model": "u3-pro"}, "Invalid 'speech_model'"),
        ({"sample_rate": 7000}, "Invalid 'sample_rate': Value error, sample_rate must be at least 8,000 Hz"),
        ({"sample_rate": 200000}, "sample_rate must be at most 96,000 Hz"),
        ({"sample_rate": "abc"}, "'sample_rate': Input should be a valid integer, unable to parse string as an int"),
        ({"encoding": "flac"}, "'flac' is not a valid Encoding"),
        ({"encoding": "Opus"}, "'Opus' is not a valid Encoding"),
        ({"format_turns": "maybe"}, "Invalid 'format_turns'"),
        ({"end_of_turn_confidence_threshold": 1.5}, "'end_of_turn_confidence_threshold': Input should be less than"),
        ({"end_of_turn_confidence_threshold": "nan"}, "Invalid 'end_of_turn_confidence_threshold'"),
        ({"vad_threshold": -0.1}, "Invalid 'vad_threshold': Input should be greater than or equal to 0"),
        ({"min_turn_silence": -1}, "Invalid 'min_turn_silence'"),
        ({"keyterms_prompt": json.dumps(["x"] * 101)}, "Invalid 'keyterms_prompt': Value error, Max 100 items"),
        ({"keyterms_prompt": "abc"}, "Invalid 'keyterms_prompt': Value error, Invalid JSON array"),
        ({"keyterms_prompt": "[" * 100_000}, "Invalid JSON array"),
        ({"keyterms_prompt": "[1]"}, "Invalid 'keyterms_prompt.0'"),
        ({"inactivity_timeout": 4}, "Invalid 'inactivity_timeout'"),
        ({"inactivity_timeout": 3601}, "Invalid 'inactivity_timeout'"),
        ({**ON_U3, "prompt": "p" * 1751}, "prompt exceeds maximum length of 1750 characters (got 1751)"),
        ({**ON_U3, "agent_context": "a" * 1800}, "agent_context exceeds maximum length of 1750 characters (got 1800)"),
        ({"prompt": "x"}, "Invalid 'prompt'"),
        ({"mode": "balanced"}, "Invalid 'mode'"),
        ({**ON_U3, "mode": "fast"}, "Invalid 'mode': Input should be 'min_latency', 'balanced' or 'max_accuracy'"),
        ({**ON_U3, "language_codes": '["xx"]'}, "Invalid 'language_codes.0'"),
        ({**ON_U3, "language_codes": json.dumps(["en"] * 11)}, "Invalid 'language_codes'"),
        ({**ON_U3, "language_codes": '["en","multi"]'}, "Invalid 'language_codes'"),
        ({"max_speakers": 11}, "Invalid 'max_speakers'"),
        ({**ON_U3, "interruption_delay": 1001}, "Invalid 'interruption_delay'"),
        ({"voice_focus": "loud"}, "Invalid 'voice_focus'"),
        ({"previous_context_n_turns": 101}, "Invalid 'previous_context_n_turns'"),
        ({"redact_pii": "true"}, "Invalid 'redact_pii'"),
        ({"llm_gateway": "[]"}, "Invalid 'llm_gateway'"),
        ({"domain": "law"}, "Invalid 'domain': Input should be 'medical-v1'"),
        ({"word_finalization_max_wait_time": "abc"}, "Invalid 'word_finalization_max_wait_time'"),
        ({"customer_support_audio_capture": "maybe"}, "Invalid 'customer_support_audio_capture'"),
    ],
)
def test_a_wrong_value_is_refused_before_the_session_with_the_parameter_named(
    query: dict[str, Any], named: str
) -> None:
    with pytest.raises(Problem) as refused:
        config(**query)
    assert refused.value.code == 3006
    assert refused.value.text.startswith("User Input Validation Error: ")
    assert named in refused.value.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ('keyterms_prompt=["a"]&keyterms_prompt=["b"]', "Invalid 'keyterms_prompt': Value error, Invalid JSON array"),
        ("keyterms_prompt=a&keyterms_prompt=b", "Invalid 'keyterms_prompt': Value error, Invalid JSON array"),
        ('keyterms=["a"]&keyterms=["b"]', "Invalid 'keyterms': Value error, Invalid JSON array"),
        ('language_codes=["en"]&language_codes=["es"]', "Invalid 'language_codes': Value error, Invalid JSON array"),
        ("language_code=en&language_code=es", "Invalid 'language_code': Value error, Invalid JSON array"),
        ("redact_pii_policies=a&redact_pii_policies=b", "Invalid 'redact_pii_policies': Value error, Invalid JSON arr"),
        ("llm_gateway={}&llm_gateway={}", "Invalid 'llm_gateway': Value error, Invalid JSON object"),
    ],
)
def test_a_repeated_parameter_is_no_list(query: str, said: str) -> None:
    with pytest.raises(Problem) as refused:
        read_query(query)
    assert said in refused.value.text


def test_of_a_single_value_that_is_repeated_the_last_one_counts() -> None:
    assert read_query("min_turn_silence=100&min_turn_silence=200")[0].min_turn_silence == 200


@pytest.mark.parametrize(
    ("sent", "value", "named"),
    [
        ("keyterms", "abc", "keyterms"),
        ("keyterms", "[1]", "keyterms.0"),
        ("language_code", "xx", "language_code"),
        ("min_end_of_turn_silence_when_confident", "x", "min_end_of_turn_silence_when_confident"),
        ("formatted_finals", "maybe", "formatted_finals"),
        ("noise_suppression_model", "loud", "noise_suppression_model"),
        ("noise_suppression_threshold", "2", "noise_suppression_threshold"),
        ("_customer_support_audio_capture", "maybe", "_customer_support_audio_capture"),
    ],
)
def test_a_wrong_value_is_refused_under_the_name_that_was_sent(sent: str, value: str, named: str) -> None:
    with pytest.raises(Problem) as refused:
        config(**ON_U3, **{sent: value})
    assert refused.value.text.startswith(f"User Input Validation Error: Invalid '{named}': ")


@pytest.mark.parametrize("said", ["true", "True", "1", "yes", "on", "TRUE", "t"])
def test_booleans_come_in_many_spellings(said: str) -> None:
    assert config(format_turns=said).turns.format_turns


@pytest.mark.parametrize("said", ["false", "False", "0", "no", "off", ""])
def test_so_does_no(said: str) -> None:
    assert not config(format_turns=said).turns.format_turns


def test_unknown_names_are_told_apart_and_ignored() -> None:
    _, unknown = read_query("min_turn_silense=9&sample_rate=8000&webhook_url=x&token=t&domain=medical-v1")
    assert unknown == ["min_turn_silense"]


def test_pipecat_s_query_is_taken() -> None:
    query = (
        "sample_rate=16000&encoding=pcm_s16le&speech_model=universal-streaming-english&formatted_finals=true"
        "&format_turns=true&end_of_turn_confidence_threshold=1.0&min_turn_silence=160&word_finalization_max_wait_time=1"
    )
    parameters, unknown = read_query(query)
    assert unknown == []
    assert resolve(parameters, ALL).hearing.checkpoints_ms[:2] == (160, 400)


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ({"min_end_of_turn_silence_when_confident": 160}, "min_turn_silence", 160),
        ({"min_end_of_turn_silence_when_confident": 160, "min_turn_silence": 200}, "min_turn_silence", 200),
        ({"min_turn_silence": "160.0"}, "min_turn_silence", 160),
        ({"formatted_finals": "true"}, "format_turns", True),
        ({"formatted_finals": "true", "format_turns": "false"}, "format_turns", False),
        ({}, "max_turn_silence", 1280),
        ({}, "min_turn_silence", 400),
        ({}, "end_of_turn_confidence_threshold", 0.4),
        ({"end_of_turn_confidence_threshold": 0}, "end_of_turn_confidence_threshold", 0),
        (ON_U3, "min_turn_silence", 128),
        (ON_U3, "max_turn_silence", 1536),
        (ON_U3, "continuous_partials", True),
        ({**ON_U3, "mode": "min_latency"}, "min_turn_silence", 128),
        ({**ON_U3, "mode": "min_latency"}, "interruption_delay", 0),
        ({**ON_U3, "mode": "min_latency", "interruption_delay": 300}, "interruption_delay", 300),
        ({**ON_U3, "mode": "max_accuracy"}, "min_turn_silence", 800),
        ({**ON_U3, "mode": "max_accuracy"}, "max_turn_silence", 1536),
        ({**ON_U3, "mode": "max_accuracy"}, "continuous_partials", True),
        (ON_U3, "interruption_delay", 500),
        ({**ON_U3, "continuous_partials": "false", "interruption_delay": 0}, "interruption_delay", 0),
        ({**ON_U3, "continuous_partials": "false"}, "continuous_partials", False),
        ({"speech_model": "u3-rt-pro"}, "continuous_partials", False),
        ({**ON_U3, "mode": "max_accuracy", "min_turn_silence": 300}, "min_turn_silence", 300),
        ({**ON_U3, "min_turn_silence": 10}, "min_turn_silence", 50),
        ({**ON_U3, "speaker_labels": "true"}, "min_turn_silence", 128),
        ({**ON_U3, "speaker_labels": "true"}, "max_turn_silence", 1536),
        ({"speech_model": "u3-rt-pro"}, "min_turn_silence", 100),
        ({"speech_model": "u3-rt-pro"}, "max_turn_silence", 1000),
        ({"language_detection": "true", "speech_model": "universal-streaming-multilingual"}, "report_language", True),
        ({"language_detection": "true"}, "report_language", False),
        ({"include_partial_turns": "False"}, "include_partial_turns", False),
    ],
)
def test_what_the_client_says_goes_over_the_preset_of_its_model(
    query: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(config(**query).turns, field) == value


@pytest.mark.parametrize(
    ("requested", "route"),
    [
        (None, "en-default"),
        ("", "en-default"),
        ("universal-streaming-multilingual", "ml-default"),
        ("universal-3-5-pro", "u3-pro"),
        ("u3-rt-pro", "u3-pro"),
        ("universal-3-6-pro", "u3-pro"),
        ("universal-3-6", "u3-pro"),
    ],
)
def test_a_speech_model_leads_to_a_route_and_is_echoed_as_requested(requested: str | None, route: str) -> None:
    chosen = config(**({} if requested is None else {"speech_model": requested}))
    assert chosen.model.route == route
    assert chosen.echo()["model"] == (requested or "universal-streaming-english")


def test_without_english_the_first_model_is_the_default_and_multi_finds_its_own() -> None:
    assert config(Catalogue((U3, MULTI))).speech_model == "universal-3-5-pro"
    assert config(Catalogue((U3, MULTI), default="universal-streaming-multilingual")).model is MULTI
    assert config(language="multi").model is MULTI
    with pytest.raises(ValueError, match="not served"):
        Catalogue((U3,), default="universal-streaming-english")


def test_multi_is_refused_where_its_model_is_not_served_unless_another_is_named() -> None:
    with pytest.raises(Problem) as refused:
        config(Catalogue((ENGLISH, U3)), language="multi")
    assert refused.value.code == 3006
    assert "Invalid 'language': Value error, 'multi' is universal-streaming-multilingual" in refused.value.text
    assert "'universal-streaming-english' or 'universal-3-5-pro'" in refused.value.text
    assert config(Catalogue((ENGLISH, U3)), language="multi", **ON_U3).model is U3


def test_aliases_can_be_switched_off_and_need_their_model() -> None:
    for catalogue in (Catalogue((ENGLISH,)), Catalogue((U3,), aliases=False)):
        with pytest.raises(Problem):
            config(catalogue, speech_model="u3-rt-pro")


def test_steering_and_context_reach_universal3_only() -> None:
    heard = config(**ON_U3, language_codes='["en","es"]', prompt="About", agent_context="Hi").hearing
    assert (heard.language_codes, heard.prompt) == (("en", "es"), "About Hi")
    assert config(**ON_U3, language_code="es").hearing.language_codes == ("es",)
    assert config(**ON_U3, language_codes='["multi"]').hearing.language_codes == ()
    assert config(language_codes='["es"]').hearing.language_codes == ()


def test_a_keyterm_too_long_is_left_out_and_the_old_name_works() -> None:
    assert config(keyterms_prompt=json.dumps(["k" * 51, "Ostrava", " "])).hearing.keyterms == ("Ostrava",)
    assert config(keyterms='["Ostrava"]').hearing.keyterms == ("Ostrava",)


def test_begin_echoes_the_eight_keys_in_their_types() -> None:
    echo = config().echo()
    assert list(echo)[:8] == [
        "model", "mode", "api_version", "speaker_labels", "redact_pii", "filter_profanity", "domain", "voice_focus",
    ]  # fmt: skip
    assert echo["mode"] is None
    assert config(**ON_U3).echo()["mode"] == "balanced"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        (
            {"language_detection": "true", "continuous_partials": "true", "language_codes": '["es"]'},
            {
                "mode": None, "format_turns": False, "include_partial_turns": True, "continuous_partials": False,
                "interruption_delay": None, "language_detection": False, "language_codes": [],
                "inactivity_timeout": None, "session_heartbeat": False, "acknowledge_silence": False,
                "min_turn_silence": 400, "max_turn_silence": 1280, "vad_threshold": 0.4,
                "end_of_turn_confidence_threshold": 0.4,
            },
        ),
        (
            {"acknowledge_silence": "1", "session_heartbeat": "1", "inactivity_timeout": 60, "vad_threshold": 0.7,
             "speech_model": "universal-streaming-multilingual", "language_detection": "1", "format_turns": "1"},
            {
                "format_turns": True, "language_detection": True, "inactivity_timeout": 60, "session_heartbeat": True,
                "acknowledge_silence": False, "vad_threshold": 0.7,
            },
        ),
        (
            {**ON_U3, "language_code": "es", "acknowledge_silence": "1", "include_partial_turns": "0",
             "mode": "min_latency"},
            {
                "mode": "min_latency", "format_turns": True, "include_partial_turns": False,
                "continuous_partials": True, "interruption_delay": 0, "language_detection": False,
                "language_codes": ["es"], "acknowledge_silence": True,
                "min_turn_silence": 128, "max_turn_silence": 1536, "vad_threshold": 0.3,
            },
        ),
    ],
)  # fmt: skip
def test_begin_tells_what_holds(query: dict[str, Any], told: dict[str, Any]) -> None:
    echo = config(**query).echo()
    assert {name: echo[name] for name in told} == told
    assert "language_code" not in echo


def test_begin_tells_every_parameter_that_has_an_effect_and_is_not_spoken() -> None:
    spoken_or_secret = {"keyterms_prompt", "prompt", "agent_context", "token"}
    without_effect = {
        name
        for name, field in ConnectParameters.model_fields.items()
        if "Accepted, without effect" in str(field.description)
    }
    by_the_model = {"speech_model", "language", "redact_pii"}
    rest = ConnectParameters.model_fields.keys() - spoken_or_secret - without_effect - by_the_model
    assert rest <= config().echo().keys()


def test_an_update_changes_what_it_names_and_null_is_not_said() -> None:
    before = config(keyterms_prompt='["Ostrava"]', max_turn_silence=900)
    after = before.updated(
        read_update({"type": "UpdateConfiguration", "max_turn_silence": 400, "keyterms_prompt": None})
    )
    assert after.turns.max_turn_silence == 400
    assert after.hearing.keyterms == ("Ostrava",)
    assert after.updated(read_update({"keyterms_prompt": []})).hearing.keyterms == ()
    assert after.updated(read_update({"some_new_field": 1, "sample_rate": 8000})) == after


def test_a_mode_re_applies_its_preset_and_its_own_message_goes_over_it() -> None:
    before = config(**ON_U3, min_turn_silence=300)
    assert before.updated(read_update({"mode": "max_accuracy"})).turns.min_turn_silence == 800
    both = read_update({"mode": "max_accuracy", "min_turn_silence": 200})
    assert before.updated(both).turns.min_turn_silence == 200


@pytest.mark.parametrize("model", ["u3-rt-pro", "u3-rt-pro-beta-1"])
def test_a_mode_is_nothing_to_the_older_realtime_model(model: str) -> None:
    """Its silences are its own: a mode is taken and changes none, neither the model's nor the client's."""
    before = config(speech_model=model, mode="max_accuracy", max_turn_silence=700)
    after = before.updated(read_update({"mode": "min_latency"}))
    for each in (before, after):
        assert each.echo()["mode"] is None
        assert (each.turns.min_turn_silence, each.turns.max_turn_silence) == (100, 700)
        assert (each.turns.continuous_partials, each.turns.interruption_delay) == (False, 500)


def test_what_belongs_to_another_family_is_ignored_in_an_update() -> None:
    after = config().updated(read_update({"prompt": "x", "mode": "max_accuracy", "language_codes": ["es"]}))
    assert (after.hearing.prompt, after.hearing.language_codes, after.mode) == ("", (), None)


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"keyterms_prompt": ["x"] * 101}, "keyterms_prompt"),
        ({"max_turn_silence": "x"}, "max_turn_silence"),
        ({"max_turn_silence": 1.5}, "max_turn_silence"),
        ({"vad_threshold": 2}, "vad_threshold"),
        ({"keyterms_prompt": {"a": 1}}, "keyterms_prompt"),
        ({"keyterms": {"a": 1}}, "keyterms"),
        ({"language_code": 5}, "language_code"),
    ],
)
def test_an_update_has_the_limits_of_the_query(message: dict[str, Any], named: str) -> None:
    with pytest.raises(Problem) as refused:
        read_update(message)
    assert f"Invalid '{named}" in refused.value.text


CHOSEN = Universal3Defaults(min_turn_silence=900, max_turn_silence=2000, vad_threshold=0.2)


@pytest.mark.parametrize(
    ("query", "silences"),
    [
        (ON_U3, (900, 2000, 0.2)),
        ({**ON_U3, "mode": "min_latency"}, (900, 2000, 0.2)),
        ({**ON_U3, "mode": "max_accuracy"}, (900, 2000, 0.2)),
        ({**ON_U3, "min_turn_silence": 300}, (300, 2000, 0.2)),
        ({"speech_model": "u3-rt-pro"}, (100, 1000, 0.3)),
        ({}, (400, 1280, 0.4)),
    ],
    ids=str,
)
def test_an_operator_chooses_what_the_modes_of_universal_3_start_from(
    query: dict[str, Any], silences: tuple[int, int, float]
) -> None:
    echo = resolve(read_query(urlencode(query))[0], ALL, "", CHOSEN).echo()
    assert (echo["min_turn_silence"], echo["max_turn_silence"], echo["vad_threshold"]) == silences
    shorter = resolve(
        read_query(urlencode({**ON_U3, "mode": "max_accuracy"}))[0], ALL, "", replace(CHOSEN, min_turn_silence=50)
    )
    assert shorter.turns.min_turn_silence == 800


def test_the_operator_says_so_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MIN_TURN_SILENCE", "900"), ("MAX_TURN_SILENCE", "2000"), ("VAD_THRESHOLD", "0.2")):
        monkeypatch.setenv(f"UNIVERSAL_3_{name}", value)
    assert GatewaySettings().universal3() == CHOSEN
    monkeypatch.setenv("UNIVERSAL_3_MIN_TURN_SILENCE", "49")
    with pytest.raises(ValidationError, match="UNIVERSAL_3_MIN_TURN_SILENCE"):
        GatewaySettings()


names = st.sampled_from(sorted(ConnectParameters.model_fields))
anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(), max_size=3))


def refused_code(open_session: Callable[[], object]) -> int | None:
    """The code that refuses, None where nothing does."""
    try:
        open_session()
    except Problem as refused:
        return refused.code
    return None


@given(st.dictionaries(names, st.text(max_size=20), max_size=5))
def test_any_query_opens_a_session_or_is_refused_by_code(query: dict[str, str]) -> None:
    assert refused_code(lambda: config(**query).hearing) in (None, 3006)


@given(st.dictionaries(st.sampled_from(sorted(Tunable.model_fields)), anything, max_size=5))
def test_any_update_is_taken_or_refused_by_code(message: dict[str, Any]) -> None:
    assert refused_code(lambda: config(**ON_U3).updated(read_update(message)).hearing) in (None, 3006)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("interruption_delay", "| U | whole number, 0 to 1000 | preset |"),
        ("end_of_turn_confidence_threshold", "| U | number, 0 to 1 | `0.4` |"),
        ("min_turn_silence", "| U | whole number from 0 | preset |"),
        ("sample_rate", "|  | whole number, 8000 to 96000 | `16000` |"),
        ("keyterms_prompt", "| U | JSON list, at most 100 | `[]` |"),
        ("agent_context", "| U | string, at most 1750 characters |  |"),
        ("format_turns", "| U | boolean | `false` |"),
        ("session_heartbeat", "| U | boolean | `false` |"),
        ("mode", "| U | `min_latency` or `balanced` or `max_accuracy` | `balanced` |"),
        ("domain", "|  | `medical-v1` |  |"),
    ],
)
def test_the_page_tells_ranges_and_what_holds_where_the_client_says_nothing(name: str, cells: str) -> None:
    assert f"| `{name}` {cells}" in reference_page()


def test_the_page_of_parameters_is_made_from_the_model() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "parameters.md"
    assert page.read_text() == reference_page(), "run `make generate`"
    assert all(f"| `{name}` |" in page.read_text() for name in ConnectParameters.model_fields)

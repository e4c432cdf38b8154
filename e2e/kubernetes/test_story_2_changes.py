"""A user's story, second chapter: the stack is changed while people speak, and nobody is cut."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import assemblyai as aai
import pytest
from built_images import built_images, renamed
from e2e_cluster.door import Door
from listener import ENGLISH, MOST_WRONG, MULTILINGUAL, PRO, error_rate, first_recording
from live_namespace import until
from live_session import hear_side_by_side, refusal, transcription, uncut_session
from operated_stack import OperatedStack, ending, example, issued, through_gateway, through_ingress
from plain_stack import STARTUP_SECONDS, is_served

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(600)]
FOLLOWED_SECONDS = 60.0
# A short rollout on a busy machine.
ROLLED_SECONDS = 120.0
# Enough for a kubelet to carry a licence to the licence proxies before it ends.
LEFT_SECONDS = 60.0
TOO_SHORT = "the recording was too short for this machine"


@pytest.fixture(scope="module")
def models(mirrored: Mapping[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Every model of examples/all-models.yaml by its name; English on two pods."""
    found = {model["name"]: model for model in example("all-models", mirrored)["models"]}
    found["en-default"]["autoscaling"] = {"minReplicas": 2}
    return found


def test_a_third_model_comes_by_an_edit_and_all_three_hear_side_by_side(
    speech: OperatedStack, models: dict[str, dict[str, Any]], recordings: Path
) -> None:
    with uncut_session(speech, recordings), uncut_session(speech, recordings, model=MULTILINGUAL):
        speech.patch({"models": list(models.values())})

        def are_there() -> bool:
            two = len(speech.ready_pods("asr", "en-default")) == 2
            return two and all(speech.phase(name) == "Available" for name in models)

        until("all three models are available", are_there, STARTUP_SECONDS, otherwise=speech.tell)
    until("the gateway takes the third", lambda: refusal(speech, PRO) is None, FOLLOWED_SECONDS)
    hear_side_by_side([(speech, model) for model in (ENGLISH, MULTILINGUAL, PRO)], recordings)


def test_whole_recordings_are_taken_once_an_edit_asks_for_it_and_no_longer_once_it_does_not(
    speech: OperatedStack, recordings: Path
) -> None:
    with uncut_session(speech, recordings):
        speech.patch({"syncApi": {"enabled": True, "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}}})
        until("the sync API is ready", lambda: speech.ready_pods("sync-api"), STARTUP_SECONDS, otherwise=speech.tell)
    path, said = first_recording(recordings)
    heard = until("it is served", lambda: transcription(speech, speech.first_key(), path), FOLLOWED_SECONDS)
    assert error_rate(heard, said) <= MOST_WRONG
    with pytest.raises(aai.AssemblyAIError, match="invalid API key"):
        transcription(speech, "somebody-else", path)
    speech.patch({"syncApi": {"enabled": False}})
    until("its pods are gone", lambda: not speech.everything("sync-api"), ROLLED_SECONDS, otherwise=speech.tell)
    until("its route is gone", lambda: transcription(speech, speech.first_key(), path) is None, FOLLOWED_SECONDS)
    speech.await_condition("Progressing", "False", FOLLOWED_SECONDS, "Complete")


def test_a_model_that_is_taken_out_drains_and_the_others_go_on(
    speech: OperatedStack, models: dict[str, dict[str, Any]], recordings: Path
) -> None:
    with (
        uncut_session(speech, recordings),
        uncut_session(speech, recordings, model=PRO),
        uncut_session(speech, recordings, model=MULTILINGUAL, times=2) as session,
    ):
        speech.patch({"models": [model for name, model in models.items() if name != "ml-default"]})
        drains = speech.await_condition("Progressing", "True", FOLLOWED_SECONDS, "DrainingModel")
        assert "ml-default" in drains["message"]
        assert speech.phase("ml-default") == "Draining"
        until("no new session of it begins", lambda: refusal(speech, MULTILINGUAL), FOLLOWED_SECONDS)
        assert not session.terminated.is_set(), TOO_SHORT
    until(
        "its pool is gone", lambda: not speech.everything("asr", "ml-default"), STARTUP_SECONDS, otherwise=speech.tell
    )
    assert speech.phase("ml-default") is None
    speech.await_condition("Progressing", "False", FOLLOWED_SECONDS, "Complete")


def test_an_image_that_cannot_be_pulled_is_told_and_a_good_one_rolls_the_gateway_and_neither_cuts_a_session(
    door: Door, speech: OperatedStack, images: Mapping[str, str], recordings: Path, tmp_path: Path
) -> None:
    repository, _, _ = images["IMAGE_GATEWAY"].rpartition(":")
    before = {pod.metadata.uid for pod in speech.ready_pods("gateway")}
    renamed(built_images()["IMAGE_GATEWAY"], f"{repository}:next", tmp_path / "next.tar")
    door.load([tmp_path / "next.tar"])
    with uncut_session(speech, recordings, times=3) as session:
        speech.patch({"images": {"overrides": {"gateway": f"{repository}:missing"}}})
        told = speech.await_condition("Progressing", "False", FOLLOWED_SECONDS, "ImageUnavailable")
        assert f"{repository}:missing" in told["message"]
        assert "spec.images" in told["message"]
        assert speech.condition("Ready")["status"] == "True"
        assert before == {pod.metadata.uid for pod in speech.ready_pods("gateway")}
        speech.patch({"images": {"overrides": {"gateway": f"{repository}:next"}}})

        def is_replaced() -> bool:
            now = speech.ready_pods("gateway")
            new = [pod for pod in now if pod.spec.containers[0].image == f"{repository}:next"]
            return len(new) == len(before) and not before & {pod.metadata.uid for pod in speech.pods("gateway")}

        until("new gateways serve, the old ones drain", is_replaced, ROLLED_SECONDS, otherwise=speech.tell)
        assert not session.terminated.is_set(), TOO_SHORT
        assert before & {pod.metadata.uid for pod in speech.everything("gateway")}, "who holds the session"
    speech.await_condition("Progressing", "False", FOLLOWED_SECONDS, "Complete")


def test_a_licence_that_goes_or_ends_is_told_and_cuts_no_session_and_one_that_comes_is_taken(
    speech: OperatedStack, recordings: Path, license_folder: Path, tmp_path: Path
) -> None:
    space = speech.namespace
    with uncut_session(speech, recordings, times=6) as session:
        space.delete("v1", "Secret", "license")
        missing = speech.await_condition("LicenseValid", "False", FOLLOWED_SECONDS, "SecretMissing")
        assert f"{space.name}/license" in missing["message"]
        space.secret("license", {"license.jwt": issued(tmp_path)})
        speech.await_condition("LicenseValid", "False", FOLLOWED_SECONDS, "Forged")
        space.secret("license", {"license.jwt": ending(license_folder, LEFT_SECONDS)})
        speech.await_condition("LicenseValid", "True", LEFT_SECONDS, "ExpiresSoon")
        ended = speech.await_condition("LicenseValid", "False", LEFT_SECONDS + FOLLOWED_SECONDS, "Expired")
        assert "put the renewed one there" in ended["message"]
        until(
            "no new session begins, for the licence",
            lambda: "license not valid" in (refusal(speech) or ""),
            ROLLED_SECONDS,
            otherwise=speech.tell,
        )
        assert not session.terminated.is_set(), TOO_SHORT
        space.secret("license", {"license.jwt": issued(license_folder)})
        speech.await_condition("LicenseValid", "True", FOLLOWED_SECONDS)
    until("new sessions begin", lambda: refusal(speech) is None, ROLLED_SECONDS, otherwise=speech.tell)
    speech.await_condition("Ready", "True", ROLLED_SECONDS)


def test_an_edit_moves_the_stack_from_the_gateway_to_an_ingress_and_back(
    door: Door, speech: OperatedStack, recordings: Path
) -> None:
    aside = OperatedStack(speech.namespace, speech.name, f"ingress-{speech.namespace.name}.{door.domain}")
    speech.patch({"gateway": {"expose": through_ingress(aside)}})
    until(f"{aside.host} is served", lambda: is_served(door, aside.host), FOLLOWED_SECONDS, otherwise=speech.tell)
    hear_side_by_side([(aside, ENGLISH)], recordings)
    until("the route is gone", lambda: not is_served(door, speech.host), FOLLOWED_SECONDS)
    back = {"ingressClassName": None, "tls": None, **through_gateway(speech)}
    speech.patch({"gateway": {"expose": back}})
    until(f"{speech.host} is served", lambda: is_served(door, speech.host), FOLLOWED_SECONDS, otherwise=speech.tell)
    until("the Ingress is gone", lambda: not is_served(door, aside.host), FOLLOWED_SECONDS)

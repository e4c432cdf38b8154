"""Sessions survive whatever becomes of their recognisers: every word is heard, and none twice."""

import concurrent.futures
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kubernetes.client import V1Pod
from listener import MOST_WRONG, recording, spoken, wrong
from live_namespace import until
from scripted_stack import SPEECH, Loss, Running
from talks import talk

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(600)]
# From the trouble until the gateway knows: 3 s without a message, and a busy machine.
NOTICED_SECONDS = 4.0


def deleted_at_once(running: Running, pod: V1Pod) -> None:
    running.delete(pod, at_once=True)


def killed(running: Running, pod: V1Pod) -> None:
    running.kill(pod, "recognizer")


def triton_killed(running: Running, pod: V1Pod) -> None:
    running.kill(pod, "triton")


@pytest.mark.parametrize("trouble", [deleted_at_once, killed, triton_killed])
def test_a_recogniser_that_dies_is_missed_in_time_and_costs_its_sessions_no_word(
    scripted: Running, trouble: Callable[[Running, V1Pod], None]
) -> None:
    with talk(scripted, 36):
        victim = scripted.hearing()
        sessions = int(scripted.metric(victim, "streaming_asr_streams_active"))
        at = datetime.now(UTC)
        trouble(scripted, victim)
        losses = until("the losses are noticed", lambda: _of(scripted, at, sessions), 15)
    assert max((loss.at - at).total_seconds() for loss in losses) < NOTICED_SECONDS
    scripted.settle()


def test_a_recogniser_that_is_deleted_moves_its_sessions_away_while_it_drains(scripted: Running) -> None:
    with talk(scripted, 36) as told:
        victim = scripted.hearing()
        sessions = int(scripted.metric(victim, "streaming_asr_streams_active"))
        at = datetime.now(UTC)
        scripted.delete(victim)
        losses = until("they were asked to move", lambda: _of(scripted, at, sessions), 30)
    assert {loss.reason for loss in losses} == {"draining"}
    assert len(losses) == sessions < len(told.heard)
    scripted.settle()


def test_a_frozen_recogniser_is_left_and_not_chosen_again(scripted: Running) -> None:
    with talk(scripted, 36):
        victim = scripted.hearing()
        sessions = int(scripted.metric(victim, "streaming_asr_streams_active"))
        resumed = scripted.metric(victim, "streaming_asr_streams_resumed_total")
        at = datetime.now(UTC)
        scripted.freeze(victim, "recognizer")
        try:
            until("the losses are noticed", lambda: _of(scripted, at, sessions), 15)
            time.sleep(4)  # a session that had gone to the frozen pod again would have lost it again
        finally:
            scripted.thaw(victim, "recognizer")
        losses = scripted.losses(at)
        assert scripted.metric(victim, "streaming_asr_streams_resumed_total") == resumed
    assert len(losses) == len({loss.session for loss in losses}) == sessions
    assert max((loss.at - at).total_seconds() for loss in losses) < NOTICED_SECONDS
    scripted.settle()


def test_a_load_balancer_that_is_killed_costs_a_session_one_failover_at_most(scripted: Running) -> None:
    victim, *_ = scripted.stack.ready_pods("asr-lb")
    restarts = scripted.restarts("asr-lb")
    with talk(scripted, 36) as told:
        at = datetime.now(UTC)
        scripted.kill(victim, "load-balancer")
        time.sleep(8)
    losses = scripted.losses(at)
    until("it was started again", lambda: scripted.restarts("asr-lb") > restarts, 30, otherwise=scripted.stack.tell)
    assert len(losses) == len({loss.session for loss in losses}) <= len(told.heard)
    assert all((loss.at - at).total_seconds() < NOTICED_SECONDS for loss in losses)
    scripted.settle()


def test_a_pool_is_rolled_to_a_new_image_under_live_sessions(scripted: Running, images: Mapping[str, str]) -> None:
    before = {pod.metadata.name for pod in scripted.recognisers()}
    models = [dict(model) for model in scripted.stack.spec()["models"]]
    models[0]["image"] = images["IMAGE_SCRIPTED_NEXT"]
    with talk(scripted, 75) as told:
        scripted.stack.patch({"models": models})

        def is_rolled() -> bool:
            now = scripted.recognisers()
            return len(now) == len(before) and not before & {pod.metadata.name for pod in now}

        until("every recogniser is a new one", is_rolled, 120, otherwise=scripted.stack.tell)
    assert {pod.spec.containers[0].image for pod in scripted.recognisers()} == {images["IMAGE_SCRIPTED_NEXT"]}
    moved = {loss.session for loss in scripted.losses(told.began)}
    assert moved == {heard.session_id for heard in told.heard}
    scripted.settle()


def test_real_speech_goes_on_when_its_triton_is_killed(scripted: Running, recordings: Path) -> None:
    pcm, said = recording(recordings)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        session = pool.submit(spoken, scripted.stack.host, scripted.stack.first_key(), pcm, speed=1.0)
        victim = scripted.hearing(SPEECH)
        time.sleep(5)
        at = datetime.now(UTC)
        scripted.kill(victim, "triton")
        losses = until("the loss is noticed", lambda: _of(scripted, at, 1), 15)
        heard = session.result(timeout=180)
    assert (losses[0].at - at).total_seconds() < NOTICED_SECONDS
    assert heard.errors == []
    assert heard.terminated.is_set()
    assert wrong(heard, said) <= MOST_WRONG
    scripted.settle()


def _of(running: Running, since: datetime, sessions: int) -> list[Loss] | None:
    losses = running.losses(since)
    return losses if len(losses) >= sessions else None

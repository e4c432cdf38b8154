"""One run: clients in a process of their own, troubles as planned, and what gateways and recognisers counted."""

import asyncio
import concurrent.futures
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil
from e2e_cluster import containers
from e2e_cluster.plan import plan
from kubernetes.client.exceptions import ApiException
from scripted_stack import Running
from urllib3.exceptions import HTTPError

from e2e_chaos.actions import Actions
from e2e_chaos.counters import read_pages, since
from e2e_chaos.parts import may
from e2e_chaos.plan import Trouble
from e2e_chaos.records import Heard, Lost, Outcome
from e2e_chaos.sessions import Speech, Where, speak_all

Say = Callable[[str], None]
_LOOK_SECONDS = 1.0
_TELL_SECONDS = 30.0
# Of 100 clients: their chunks do not fall together.
OVER_S = 10.0


@dataclass(frozen=True)
class Crowd:
    """Who speaks."""

    scripted: Sequence[Speech]
    speech: Sequence[Speech]


def talk(where: Where, speeches: Sequence[Speech]) -> list[Heard]:
    """All sessions, in this process: nothing else holds up their clients. The clock is the machine's."""
    return asyncio.run(speak_all(where, speeches, time.monotonic, over_s=OVER_S))


def run(running: Running, crowd: Crowd, actions: Actions | None, troubles: Sequence[Trouble], say: Say) -> Outcome:
    """Sessions to their end, with the troubles at their times; without `actions` nothing goes wrong."""
    before = read_pages(_gateway_pages(running))
    psutil.cpu_percent()
    used = _pods_cpu()
    began, wall = time.monotonic(), time.time()
    speeches = [*crowd.scripted, *crowd.speech]
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        sessions = pool.submit(talk, running.where, speeches)
        try:
            _until_done(sessions, actions, list(troubles), began, say)
        finally:
            if actions is not None:
                actions.release_all()
        heard = sessions.result()
    busy, pods_cores = psutil.cpu_percent() / 100, (_pods_cpu() - used) / (time.monotonic() - began)
    if actions is not None:
        _until_whole(actions)
    losses = running.losses_since(wall)
    return Outcome(
        began=began,
        scripted=heard[: len(crowd.scripted)],
        speech=heard[len(crowd.scripted) :],
        lost=[Lost(loss.at.timestamp() - wall + began, loss.session, loss.reason) for loss in losses],
        counted=since(before, read_pages(_gateway_pages(running))),
        lag=read_pages(running.page(pod) for pod in running.recognisers()),
        busy=busy,
        pods_cores=pods_cores,
    )


def _until_done(
    sessions: concurrent.futures.Future[list[Heard]],
    actions: Actions | None,
    waiting: list[Trouble],
    began: float,
    say: Say,
) -> None:
    told = began
    while not sessions.done():
        time.sleep(_LOOK_SECONDS)
        at = time.monotonic() - began
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            say(f"{at:4.0f} s of sessions, {len(waiting)} troubles to come, machine {psutil.getloadavg()[0]:.1f}")
        if actions is not None:
            _look_and_act(actions, waiting, at, say)
    if actions is not None:
        actions.skipped += waiting


def _look_and_act(actions: Actions, waiting: list[Trouble], at: float, say: Say) -> None:
    """Note what is whole again, and make what is due; an API server that does not answer is asked again later."""
    try:
        pods = actions.pods()
        actions.look(pods)
        while waiting and waiting[0].at_s <= at and may(actions.layout, waiting[0], actions.made, pods):
            actions.attempt(waiting.pop(0), pods)
            pods = actions.pods()
    except (ApiException, HTTPError) as failure:
        say(f"the API server does not answer: {type(failure).__name__}")


def _until_whole(actions: Actions) -> None:
    """Raises ClusterError where something does not come back."""
    while any(made.whole_at is None for made in actions.made):
        time.sleep(_LOOK_SECONDS)
        actions.look(actions.pods())


def _pods_cpu() -> float:
    return sum(map(containers.cpu_seconds, plan(os.environ.get("CLUSTER_NAME", "local")).nodes))


def _gateway_pages(running: Running) -> list[str]:
    return [running.page(pod) for pod in running.stack.pods("gateway")]

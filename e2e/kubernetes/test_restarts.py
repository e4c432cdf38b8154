"""What stands beside the way of the audio may restart: no session notices."""

import pytest
from live_namespace import until
from scripted_stack import Running
from talks import talk

pytestmark = [pytest.mark.kubernetes, pytest.mark.long, pytest.mark.timeout(600)]
BACK_SECONDS = 60.0


def test_a_licence_proxy_that_is_killed_and_deleted_is_no_sessions_business(scripted: Running) -> None:
    def is_back() -> bool:
        return len(scripted.stack.ready_pods("license-proxy")) == 1

    with talk(scripted, 45) as told:
        (proxy,) = scripted.stack.ready_pods("license-proxy")
        scripted.kill(proxy, "license-proxy")
        until("the licence proxy was restarted", lambda: scripted.restarts("license-proxy") > 0, BACK_SECONDS)
        until("it is ready again", is_back, BACK_SECONDS)
        scripted.delete(scripted.stack.ready_pods("license-proxy")[0], at_once=True)
        until("it is another", lambda: is_back() and scripted.restarts("license-proxy") == 0, BACK_SECONDS)
    assert scripted.losses(told.began) == []
    scripted.settle()


def test_an_operator_that_is_killed_and_deleted_is_no_sessions_business(scripted: Running) -> None:
    before = pods(scripted)
    with talk(scripted, 45) as told:
        (pod,) = scripted.operator.ready_pods("operator")
        scripted.kill(pod, "operator")
        until("it was restarted", lambda: operators(scripted, restarted=True), BACK_SECONDS)
        scripted.delete(pod, at_once=True)
        until("it is another", lambda: operators(scripted, restarted=False), BACK_SECONDS)
    assert scripted.losses(told.began) == []
    scripted.settle()
    assert pods(scripted) == before, "a restart of the operator rolled pods"


def test_load_balancers_that_are_rolled_cost_a_session_one_failover_at_most(scripted: Running) -> None:
    before = {pod.metadata.name for pod in scripted.stack.pods("asr-lb")}
    assert len(before) == 2
    with talk(scripted, 60) as told:
        scripted.stack.patch({"loadBalancer": {"pods": {"annotations": {"example.com/rolled": "yes"}}}})

        def are_others() -> bool:
            now = scripted.stack.ready_pods("asr-lb")
            return len(now) == len(before) and not before & {pod.metadata.name for pod in now}

        until("the load balancers are others", are_others, BACK_SECONDS, otherwise=scripted.stack.tell)
    losses = scripted.losses(told.began)
    assert len(losses) == len({loss.session for loss in losses})
    scripted.settle()


def pods(running: Running) -> set[str]:
    """Every pod of the stack."""
    return {
        pod.metadata.uid for part in ("gateway", "asr", "asr-lb", "license-proxy") for pod in running.stack.pods(part)
    }


def operators(running: Running, *, restarted: bool) -> bool:
    """Whether the operator is ready, in a container that was or was not restarted."""
    ready = running.operator.ready_pods("operator")
    counts = [status.restart_count for pod in ready for status in pod.status.container_statuses]
    return len(counts) == 1 and (counts[0] > 0) is restarted

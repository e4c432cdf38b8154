import asyncio
from collections.abc import AsyncIterator, Callable

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sighted import pod
from streaming_operator import names
from streaming_operator.cache import Cache
from streaming_operator.exposition import total
from streaming_operator.kinds import POD, Key
from streaming_operator.reading import Reading, is_notable, summary
from streaming_operator.readings import SIDE_BY_SIDE, Readings
from streaming_operator.seen import Seen

DEMO = Key("speech", "demo")
TEXT = """# HELP streaming_gateway_sessions_active Open sessions.
# TYPE streaming_gateway_sessions_active gauge
streaming_gateway_sessions_active 3.0
streaming_gateway_sessions_active_other 9
streaming_gateway_sessions_capacity 48.0
by_label{model="a b",x="}"} 2
by_label{model="c"} 3e0 1700000000
broken{
"""


@pytest.mark.parametrize(
    ("metric", "value"),
    [("streaming_gateway_sessions_active", 3), ("by_label", 5), ("absent", None), ("broken", None)],
)
def test_a_metric_is_read_by_its_whole_name_and_summed(metric: str, value: float | None) -> None:
    assert total(TEXT, metric) == value


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    total(text, "x")


@pytest.mark.parametrize(
    ("before", "after", "notable"),
    [(0, 1, True), (1, 0, True), (100, 109, False), (100, 111, True), (100, 89, True), (0, 0, False), (5, 5, False)],
)
def test_a_count_is_notable_to_and_from_zero_and_when_it_moves_by_a_tenth(
    before: int, after: int, notable: bool
) -> None:
    def told(active: int) -> dict[str, tuple[object, ...]]:
        return summary([(pod("p"), Reading(active=active, capacity=48))])

    assert is_notable(told(before), told(after)) is notable
    assert is_notable(None, told(after))


def test_another_licence_state_is_notable() -> None:
    def told(state: str) -> dict[str, tuple[object, ...]]:
        return summary([(pod("p", names.LICENSE_PROXY), Reading(license_state=state))])

    assert is_notable(told("Ready"), told("Failed"))
    assert not is_notable(told("Ready"), told("Ready"))


def _answers(request: httpx2.Request) -> httpx2.Response:
    assert "authorization" not in request.headers, "no credentials may ever reach a pod"
    return {
        9090: httpx2.Response(200, text=TEXT + "streaming_asr_streams_active 2\nstreaming_asr_streams_capacity 28\n"),
        8080: {
            "/v1/status": httpx2.Response(
                200, json={"state": "TrustBased", "trust_expiration": "2026-02-01T00:00:00+00:00"}
            ),
            "/metrics": httpx2.Response(200, text="license_proxy_usage_sessions_pending 4.0\n"),
            "/models": httpx2.Response(
                200,
                json={
                    "models": [
                        {"name": "en", "state": "Ready", "digest": "abc", "error": None},
                        {"name": "ml", "state": "Failed", "digest": None, "error": "404 for the file"},
                    ]
                },
            ),
        }.get(request.url.path, httpx2.Response(404)),
    }[request.url.port or 80]


@pytest.mark.parametrize(
    ("seen", "holds"),
    [
        (pod("g"), lambda r: (r.active, r.capacity) == (3, 48)),
        (pod("a", names.ASR, "en"), lambda r: (r.active, r.capacity) == (2, 28)),
        (
            pod("l", names.LICENSE_PROXY),
            lambda r: (r.license_state, r.backlog, r.trust_expiration.month) == ("TrustBased", 4, 2),
        ),
        (pod("m", names.MODEL_STORE), lambda r: (r.digests, r.errors) == ({"en": "abc"}, {"ml": "404 for the file"})),
    ],
)
async def test_every_part_is_read_at_its_own_port(seen: Seen, holds: Callable[[Reading], bool]) -> None:
    cache = Cache()
    cache.put(DEMO, POD, "p", seen)
    told: list[Key] = []
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(_answers)) as http:
        readings = Readings(cache, http, told.append)
        await readings.read_all()
    reading = readings.get(seen)
    assert reading is not None
    assert holds(reading)
    assert told == [DEMO]


async def test_a_pod_that_does_not_answer_says_nothing_and_holds_up_no_other() -> None:
    cache = Cache()
    mute, fine = (
        pod("mute", metadata={"uid": "mute"}),
        pod("fine", metadata={"uid": "fine"}, status={"podIP": "198.18.20.10"}),
    )
    cache.put(DEMO, POD, "mute", mute)
    cache.put(DEMO, POD, "fine", fine)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "198.18.20.9":
            raise httpx2.ConnectTimeout("nobody", request=request)
        return httpx2.Response(200, text=TEXT)

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        readings = Readings(cache, http, lambda _: None)
        await readings.read_all()
    assert readings.get(mute) is None
    assert readings.get(fine) == Reading(active=3, capacity=48)


async def test_silent_pods_of_many_stacks_are_waited_for_side_by_side_and_not_all_at_once() -> None:
    """Each waits until as many others are being read as may be: one stack after the other, none would ever end."""
    cache = Cache()
    stacks = [Key("speech", f"s{number}") for number in range(3 * SIDE_BY_SIDE)]
    for key in stacks:
        cache.put(key, POD, "p", pod("p", metadata={"uid": key.name}))
    together = asyncio.Barrier(SIDE_BY_SIDE)
    most = now = 0

    async def answer(_: httpx2.Request) -> httpx2.Response:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await together.wait()
        now -= 1
        return httpx2.Response(200, text=TEXT)

    told: list[Key] = []
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http, asyncio.timeout(60):
        assert await Readings(cache, http, told.append).read_all() == len(stacks)
    assert most == SIDE_BY_SIDE
    assert sorted(told) == sorted(stacks)


async def _endless(pause: float) -> AsyncIterator[bytes]:
    while True:
        yield b"# " + b"x" * 100_000 + b"\n"
        await asyncio.sleep(pause)


@pytest.mark.parametrize("pause", [0.0, 0.05])
async def test_a_pod_that_never_ends_its_answer_is_left_to_itself(
    pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming_operator.readings.TIMEOUT_SECONDS", 0.5 if pause else 60.0)
    cache = Cache()
    seen = pod("endless")
    cache.put(DEMO, POD, "endless", seen)

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=_endless(pause))

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http, asyncio.timeout(20):
        readings = Readings(cache, http, lambda _: None)
        await readings.read_all()
    assert readings.get(seen) is None


async def test_a_licence_proxy_without_metrics_still_tells_its_state() -> None:
    cache = Cache()
    seen = pod("l", names.LICENSE_PROXY)
    cache.put(DEMO, POD, "l", seen)

    def answer(request: httpx2.Request) -> httpx2.Response:
        return (
            httpx2.Response(200, json={"state": "Connected"}) if "status" in request.url.path else httpx2.Response(404)
        )

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        readings = Readings(cache, http, lambda _: None)
        await readings.read_all()
    assert readings.get(seen) == Reading(license_state="Connected")


async def test_a_pod_that_is_gone_is_forgotten() -> None:
    cache = Cache()
    seen = pod("g")
    cache.put(DEMO, POD, "g", seen)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(_answers)) as http:
        readings = Readings(cache, http, lambda _: None)
        await readings.read_all()
        cache.remove(DEMO, POD, "g", seen.uid)
        await readings.read_all()
    assert readings.get(seen) is None


async def test_counts_are_told_at_most_every_half_minute_and_states_at_once() -> None:
    cache, now = Cache(), 0.0
    told: list[float] = []
    taken: list[Key] = []
    answers = {"active": 1, "state": "Ready"}
    cache.put(DEMO, POD, "g", pod("g"))
    cache.put(DEMO, POD, "l", pod("l", names.LICENSE_PROXY, metadata={"uid": "l"}))

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/status":
            return httpx2.Response(200, json={"state": answers["state"]})
        return httpx2.Response(200, text=f"streaming_gateway_sessions_active {answers['active']}\n")

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
        readings = Readings(cache, http, lambda _: told.append(now), clock=lambda: now)
        readings.taken = taken.append
        for now, active, state in ((0, 1, "Ready"), (10, 9, "Ready"), (20, 9, "Failed"), (30, 5, "Failed")):  # noqa: B007
            answers |= {"active": active, "state": state}
            await readings.read_all()
        for now in (40.0, 50.0, 60.0, 70.0):  # noqa: B007
            await readings.read_all()
    assert told == [0, 20, 60]
    assert taken == [DEMO] * 8

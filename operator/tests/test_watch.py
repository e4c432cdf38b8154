"""A watch through every kind of trouble, against an API server of scripted answers."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from sighted import body
from streaming_operator.api_errors import ApiRefusal, ApiUnreachable
from streaming_operator.api_server import ApiServer
from streaming_operator.cache import Cache
from streaming_operator.kinds import CONFIG_MAP, DEPLOYMENT, SECRET, Key, Kind
from streaming_operator.seen import seen
from streaming_operator.sightings import Sightings
from streaming_operator.stacks import Stacks
from streaming_operator.watch import Watch

DEMO = Key("speech", "demo")
Answer = httpx2.Response | Exception


def _list(*names: str, version: str = "10", more: str = "") -> httpx2.Response:
    items = [body(DEPLOYMENT, name) for name in names] or None
    return httpx2.Response(200, json={"metadata": {"resourceVersion": version, "continue": more}, "items": items})


def _events(*events: tuple[str, dict[str, Any]]) -> httpx2.Response:
    lines = "".join(json.dumps({"type": type_, "object": found}) + "\n" for type_, found in events)
    return httpx2.Response(200, content=lines.encode())


def _at(name: str, version: str, **parts: Any) -> dict[str, Any]:
    return body(DEPLOYMENT, name, metadata={"resourceVersion": version, "generation": int(version)}, **parts)


GONE = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}


class Script:
    """Answers one after the other; then holds the line."""

    def __init__(self, *answers: Answer) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self.asked: list[dict[str, str]] = []

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(dict(request.url.params))
        answer = next(self._answers, None)
        if answer is None:
            await asyncio.sleep(60)
        if isinstance(answer, Exception):
            raise answer
        assert answer is not None
        return answer


async def _watched(
    script: Script, until: Callable[[Cache], bool], monkeypatch: pytest.MonkeyPatch
) -> tuple[Cache, list[Key]]:
    """What the cache holds, and which keys were added, once `until` holds and the script has no more answers."""
    monkeypatch.setattr("streaming_operator.watch.FIRST_RETRY_SECONDS", 0.01)
    cache, added = Cache(), list[Key]()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(script), base_url="http://api") as http:
        sink = Sightings(cache, Stacks(), lambda key, _: added.append(key))
        watch = Watch(ApiServer(http), DEPLOYMENT, None, "a=b", sink, asyncio.Event(), asyncio.Semaphore(1), seen)
        task = asyncio.create_task(watch.run())
        async with asyncio.timeout(10):
            while not until(cache):
                assert not task.done(), "a watch never ends"
                await asyncio.sleep(0.005)
            await watch.synced.wait()
        task.cancel()
    return cache, added


def _holds(*names: str) -> Callable[[Cache], bool]:
    return lambda cache: {name for name, _ in cache.of_kind(DEMO, DEPLOYMENT)} == set(names)


async def test_a_list_of_several_pages_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(_list("a", more="next"), _list("b"))
    await _watched(script, _holds("a", "b"), monkeypatch)
    assert script.asked[1]["continue"] == "next"


async def test_events_are_followed_from_the_version_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(_list("a"), _events(("ADDED", _at("b", "11")), ("DELETED", _at("a", "12"))))
    _, added = await _watched(script, _holds("b"), monkeypatch)
    assert script.asked[1]["resourceVersion"] == "10"
    assert added == [DEMO] * 3


async def test_a_watch_that_ends_goes_on_from_the_last_version_that_it_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    bookmark = {"kind": "Deployment", "metadata": {"resourceVersion": "55"}}
    script = Script(_list("a"), _events(("BOOKMARK", bookmark)), _events(("ADDED", _at("b", "56"))))
    await _watched(script, _holds("a", "b"), monkeypatch)
    assert script.asked[2]["resourceVersion"] == "55"


@pytest.mark.parametrize(
    "trouble",
    [
        _events(("ERROR", GONE)),
        httpx2.Response(410, json=GONE),
        httpx2.Response(403, json={"code": 403, "reason": "Forbidden", "message": "no"}),
    ],
)
async def test_what_vanished_while_nobody_watched_is_told_as_gone(
    trouble: httpx2.Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(_list("a", "b"), trouble, _list("b", version="90"), _events(("ADDED", _at("c", "91"))))
    _, added = await _watched(script, _holds("b", "c"), monkeypatch)
    assert len(added) == 4, "a and b came, a went, c came"


@pytest.mark.parametrize(
    "trouble",
    [
        httpx2.ConnectError("refused"),
        httpx2.ReadError("reset"),
        httpx2.RemoteProtocolError("closed"),
        httpx2.Response(500, text="no json"),
        httpx2.Response(429, json={"code": 429, "reason": "TooManyRequests", "message": ""}),
        httpx2.Response(200, text="{not json\n"),
        httpx2.Response(503),
    ],
)
@pytest.mark.parametrize("when", ["list", "watch"])
async def test_no_trouble_ends_a_watch(trouble: Answer, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = () if when == "list" else (_list("a"),)
    relisted = _list("a") if when == "list" or isinstance(trouble, httpx2.Response) else None
    after = [answer for answer in (relisted, _events(("ADDED", _at("b", "11")))) if answer is not None]
    if when == "watch" and isinstance(trouble, httpx2.Response) and trouble.status_code == 200:
        after = after[1:]  # a line that cannot be read is skipped with its connection; the version is still good
    await _watched(Script(*before, trouble, *after), _holds("a", "b"), monkeypatch)


FORBIDDEN = httpx2.Response(403, json={"code": 403, "reason": "Forbidden", "message": "no"})


@pytest.mark.parametrize(("namespace", "holds_up"), [("closed", False), (None, True)])
async def test_a_namespace_that_is_closed_to_us_holds_up_no_other_and_a_cluster_that_is_does(
    namespace: str | None, holds_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming_operator.watch.FIRST_RETRY_SECONDS", 0.01)
    script = Script(*[FORBIDDEN] * 4)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(script), base_url="http://api") as http:
        sink = Sightings(Cache(), Stacks(), lambda *_: None)
        watch = Watch(ApiServer(http), DEPLOYMENT, namespace, "a=b", sink, asyncio.Event(), asyncio.Semaphore(1), seen)
        task = asyncio.create_task(watch.run())
        async with asyncio.timeout(10):
            while len(script.asked) < 5:
                await asyncio.sleep(0.005)
        assert watch.synced.is_set() is not holds_up
        assert not task.done()
        task.cancel()


async def test_a_server_that_finds_every_version_too_old_is_not_asked_in_a_tight_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streaming_operator.watch.FIRST_RETRY_SECONDS", 0.2)
    script = Script(*[_list("a"), _events(("ERROR", GONE))] * 200)
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(script), base_url="http://api") as http:
        sink = Sightings(Cache(), Stacks(), lambda *_: None)
        watch = Watch(ApiServer(http), DEPLOYMENT, None, "a=b", sink, asyncio.Event(), asyncio.Semaphore(1), seen)
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(0.8)
        task.cancel()
    assert 2 <= len(script.asked) <= 12


async def test_silence_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(_list("a"), httpx2.ReadTimeout("silent"), _events(("ADDED", _at("b", "11"))))
    await _watched(script, _holds("a", "b"), monkeypatch)
    assert script.asked[2]["resourceVersion"] == "10", "it is not listed again"


def test_secrets_that_are_nobodys_child_are_not_kept_and_their_stacks_are_told() -> None:
    from operator_factories import stack
    from streaming_operator.references import references

    cache, stacks, added = Cache(), Stacks(), list[Key]()
    stacks.names(DEMO, references(stack()))
    sink = Sightings(cache, stacks, lambda key, _: added.append(key))

    def show(kind: Kind, name: str) -> None:
        sink.sighted(kind, *seen(kind, json.dumps(body(kind, name, metadata={"labels": {}})).encode()))

    show(SECRET, "license")
    show(CONFIG_MAP, "license-keys")
    assert added == [DEMO, DEMO]
    show(SECRET, "other")
    show(DEPLOYMENT, "license")
    assert (added, len(cache)) == ([DEMO, DEMO], 0)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx2.Response(404, text="404 page not found"), ApiRefusal),
        (httpx2.Response(422, json={"code": 422, "reason": "Invalid", "message": "m"}), ApiRefusal),
        (httpx2.ReadTimeout("slow"), ApiUnreachable),
        (httpx2.ConnectError("refused"), ApiUnreachable),
    ],
)
async def test_every_failure_is_a_refusal_or_no_answer_and_is_counted(
    answer: Answer, expected: type[Exception]
) -> None:
    counted: list[tuple[str, str, int]] = []
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(Script(answer)), base_url="http://api") as http:
        api = ApiServer(http, lambda verb, kind, code: counted.append((verb, kind, code)))
        with pytest.raises(expected):
            await api.apply(DEPLOYMENT, "speech", "x", b"{}")
    code = answer.status_code if isinstance(answer, httpx2.Response) else 0
    assert counted == [("PATCH", "Deployment", code)]

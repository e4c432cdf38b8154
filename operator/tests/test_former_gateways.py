"""Gateways of a deleted stack are given half a minute, and are told so themselves."""

import httpx2
import pytest
from sighted import pod
from streaming_operator import names
from streaming_operator.cache import Cache
from streaming_operator.former_gateways import FormerGateways
from streaming_operator.kinds import POD, Key
from streaming_operator.seen import Seen

DEMO = Key("speech", "demo")


def ending(
    name: str, *, grace: int = 10_920, address: str = "198.18.20.9", created: str = "2026-01-02T03:04:05Z"
) -> Seen:
    """A gateway that drains."""
    deletion = {"deletionTimestamp": "2026-01-02T06:04:05Z", "deletionGracePeriodSeconds": grace}
    return pod(name, metadata={"creationTimestamp": created, **deletion}, status={"podIP": address})


class World:
    """The API server and the pods, as far as they are asked."""

    def __init__(self, *pods: tuple[str, Seen], answer: int = 202) -> None:
        self.deleted: list[tuple[str, int]] = []
        self.told: list[tuple[str, str]] = []
        self._answer = answer
        self._cache = Cache()
        for name, seen in pods:
            self._cache.put(DEMO, POD, name, seen)

    async def delete(self, _: object, __: str, name: str, *, uid: str, grace_seconds: int) -> None:
        assert uid == f"{name}-uid"
        self.deleted.append((name, grace_seconds))

    def hears(self, request: httpx2.Request) -> httpx2.Response:
        if self._answer == 0:
            raise httpx2.ConnectTimeout("nobody", request=request)
        self.told.append((f"{request.method} {request.url}", request.headers["authorization"]))
        return httpx2.Response(self._answer)

    async def end(self, before: str | None = None) -> bool:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(self.hears)) as http:
            return await FormerGateways(self, self._cache, http).end(DEMO, before)  # type: ignore[arg-type]


async def test_what_drains_gets_a_short_grace_and_is_told_by_its_own_uid() -> None:
    world = World(("a", ending("a")), ("b", ending("b", grace=30, address="fd00::9")))
    assert await world.end()
    assert world.deleted == [("a", 30)], "the other has it already"
    assert sorted(world.told) == [
        ("POST http://198.18.20.9:9090/drain?seconds=15", "Bearer a-uid"),
        ("POST http://[fd00::9]:9090/drain?seconds=15", "Bearer b-uid"),
    ]


@pytest.mark.parametrize("answer", [404, 409, 503, 0])
async def test_a_gateway_that_does_not_listen_holds_up_nothing(answer: int) -> None:
    world = World(("a", ending("a")), answer=answer)
    assert await world.end()
    assert world.deleted == [("a", 30)]


async def test_who_is_not_on_the_way_out_or_no_former_gateway_is_left_alone() -> None:
    others = [
        ("serving", pod("serving")),
        ("asr", pod("asr", names.ASR, "en", metadata={"deletionTimestamp": "2026-01-02T06:04:05Z"})),
        ("new", ending("new", created="2026-01-03T00:00:00Z")),
    ]
    world = World(*others)
    assert await world.end(before="2026-01-03T00:00:00Z"), "one is left: nobody has ended it yet"
    assert not await World(*others[1:]).end(before="2026-01-03T00:00:00Z")
    assert world.deleted == []
    assert world.told == []

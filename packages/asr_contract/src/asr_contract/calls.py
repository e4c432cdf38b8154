"""How a call of `Recognize` is read by whoever made it: that it is over, and which recogniser it led to."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import grpc


class CallOver(Exception):
    """A read or a write found the call over; `status` is None where a write cannot know it."""

    def __init__(self, status: grpc.StatusCode | None = None) -> None:
        super().__init__("the call is over")
        self.status = status


@contextlib.contextmanager
def told_when_over() -> Iterator[None]:
    """Around a read or a write of an asyncio call: gRPC's ways to say that the call is over, as CallOver.

    A cancellation of the caller's own task stays one.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise CallOver(error.code()) from None
    except asyncio.InvalidStateError:  # a write on a call that has just ended
        raise CallOver from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise CallOver(grpc.StatusCode.CANCELLED) from None  # the peer cancelled


def pod_in(*several: Any) -> str:
    """The recogniser's pod, where a load balancer names it, else "".

    `several`: initial and trailing metadata of one call, in this order, each may be None. A refusal without any message
    has it in its trailers.
    """
    told: dict[str, Any] = {}
    for metadata in several:
        told.update(metadata or ())
    return str(told.get("x-upstream-pod", ""))

"""Streams through a balancer, as a gateway opens them, and waiting for what becomes of them."""

import asyncio
import contextlib
import time
import zlib

import grpc
import pytest
from balancer_processes import DEADLINE
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

SECOND_OF_AUDIO = 32000


async def eventually(condition, what, seconds=DEADLINE):
    """Poll until `condition` (sync or async) is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        result = condition()
        if await result if asyncio.iscoroutine(result) else result:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"not within {seconds} s: {what}")


class Stream:
    """One client stream through a balancer."""

    def __init__(self, channel, route, **headers):
        metadata = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if route is not None:
            metadata.append(("x-model-version", route))
        self.call = rpc.RecognizerServiceStub(channel).Recognize(metadata=metadata)
        self.samples = 0
        self.checksum = 0

    async def open(self):
        """Streams open at the recogniser, this one included."""
        await self.call.write(pb.RecognizeRequest(open=pb.Open(session_id="3a1e")))
        return (await self._read()).ready.capacity

    async def pod(self):
        return dict(await self.call.initial_metadata())["x-upstream-pod"]

    async def send(self, pcm=bytes(3200)):
        self.checksum = zlib.crc32(pcm, self.checksum)
        audio = pb.Audio(first_sample=self.samples, pcm=pcm)
        self.samples += len(pcm) // 2
        await self.call.write(pb.RecognizeRequest(audio=audio))

    async def echo(self, pcm=bytes(3200)):
        """Send a piece and see that everything so far has arrived."""
        await self.send(pcm)
        await self.arrived()

    async def arrived(self, samples=0):
        """Wait until the recogniser has heard `samples`, or all that were sent; then compare with what was sent."""
        samples = samples or self.samples
        while (progress := (await self._read()).progress).processed_through_sample < samples:
            pass
        assert (progress.processed_through_sample, progress.send_through_sample) == (self.samples, self.checksum)

    async def open_streams(self):
        await self.call.write(pb.RecognizeRequest(ping=pb.Ping()))
        return (await self._read()).progress.send_through_sample

    async def status(self):
        """Code and message of a stream that is refused, without having written anything."""
        with contextlib.suppress(grpc.aio.AioRpcError):
            await asyncio.wait_for(self.call.read(), DEADLINE)
        return await self.call.code(), await self.call.details()

    async def finish(self):
        await self.call.done_writing()
        assert await asyncio.wait_for(self.call.read(), DEADLINE) is grpc.aio.EOF
        return await self.call.code()

    async def _read(self):
        response = await asyncio.wait_for(self.call.read(), DEADLINE)
        assert response is not grpc.aio.EOF, f"the stream ended: {await self.call.code()}"
        return response


@contextlib.asynccontextmanager
async def client(port):
    """One channel, as a gateway has it, and streams on it: `open(route, **headers)`."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:

        def stream(route, **headers):
            return Stream(channel, route, **headers)

        yield stream

"""A gRPC server of the contract that echoes how much it received; a program of its own, so that it can be killed.

`python echo_recogniser.py HOST PORT` prints its address. `Ready.capacity` and the credit in the answer to a `Ping` are
the streams open now; in `Progress`, the position counts this stream's samples and the credit is their CRC-32.
Metadata `x-refuse` is answered RESOURCE_EXHAUSTED; what came as X-Model-Version and `x-route` is told in the trailer.
"""

import asyncio
import sys
import zlib

import grpc
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

SEEN = ("x-model-version", "x-route")


class Echo(rpc.RecognizerServiceServicer):
    def __init__(self):
        self.open_streams = 0

    async def Recognize(self, requests, context):
        headers = dict(context.invocation_metadata())
        context.set_trailing_metadata([(f"seen-{name}", headers.get(name, "")) for name in SEEN])
        if headers.get("x-refuse"):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no free slot")
        self.open_streams += 1
        try:
            samples, checksum = 0, 0
            async for request in requests:
                match request.WhichOneof("message"):
                    case "open":
                        yield pb.RecognizeResponse(ready=pb.Ready(capacity=self.open_streams))
                    case "audio":
                        samples += len(request.audio.pcm) // 2
                        checksum = zlib.crc32(request.audio.pcm, checksum)
                        yield _progress(samples, checksum)
                    case "ping":
                        yield _progress(samples, self.open_streams)
        finally:
            self.open_streams -= 1


def _progress(samples, credit):
    return pb.RecognizeResponse(progress=pb.Progress(processed_through_sample=samples, send_through_sample=credit))


async def main():
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    rpc.add_RecognizerServiceServicer_to_server(Echo(), server)
    host, port = sys.argv[1:]
    port = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    print(f"{host}:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())

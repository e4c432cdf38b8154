"""One stream that is silent in its middle: `python silent_client.py PORT SECONDS`.

Prints the status code and how many seconds the stream lived after its silence began. A program of its own, so that
it is silent while the other tests run.
"""

import sys
import threading
import time

import grpc
from streamingstack.asr.v1 import recognizer_pb2 as pb
from streamingstack.asr.v1 import recognizer_pb2_grpc as rpc

SAMPLES = 16000
AUDIO = bytes(2 * SAMPLES)


def requests(ended, seconds):
    yield pb.RecognizeRequest(open=pb.Open(session_id="3a1e"))
    yield pb.RecognizeRequest(audio=pb.Audio(first_sample=0, pcm=AUDIO))
    ended.wait(seconds)
    yield pb.RecognizeRequest(audio=pb.Audio(first_sample=SAMPLES, pcm=AUDIO))


def main():
    port, seconds = sys.argv[1:]
    ended = threading.Event()
    began = time.monotonic()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = rpc.RecognizerServiceStub(channel)
        call = stub.Recognize(requests(ended, float(seconds)), metadata=[("x-model-version", "single")])
        call.add_callback(ended.set)
        heard = 0
        try:
            for response in call:
                heard = max(heard, response.progress.processed_through_sample)
        except grpc.RpcError:
            pass
        complete = heard == 2 * SAMPLES
        print(call.code().name if complete or call.code() is not grpc.StatusCode.OK else "INCOMPLETE")
        print(time.monotonic() - began)


if __name__ == "__main__":
    main()

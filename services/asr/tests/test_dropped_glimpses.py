"""A glimpse that Triton's queue dropped says nothing about Triton: its status is that of a server that is gone."""

import pytest
from prometheus_client import CollectorRegistry
from streaming_asr.engine import EngineLostError
from streaming_asr.triton.client import COMMIT, GLIMPSE, TritonEngine
from tritonclient.utils import InferenceServerException


@pytest.mark.parametrize(
    ("priority", "message", "stays"),
    [
        (GLIMPSE, "Request timeout expired", True),
        (GLIMPSE, "[request id: 7] Exceeds maximum queue size", True),
        (GLIMPSE, "failed to connect to all addresses", False),
        (COMMIT, "Socket closed", False),
    ],
)
async def test_only_a_server_that_is_gone_is_given_up(priority, message, stays):
    engine = TritonEngine("127.0.0.1:1", registry=CollectorRegistry())
    engine.ready.set()
    engine.lost.clear()
    failure = InferenceServerException(message, status="StatusCode.UNAVAILABLE")
    meaning = engine._failed(failure, "whisper", priority)
    assert isinstance(meaning, EngineLostError) != stays
    assert engine.ready.is_set() == stays

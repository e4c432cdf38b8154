"""acknowledge_silence: one Silence for each whole second of audio without voice."""

from typing import Any

import pytest
from streaming_gateway.silences import Silences
from streamingstack.asr.v1 import recognizer_pb2 as pb
from test_turns_universal import MS, checkpoint, started, stopped


def progress(through_ms: int) -> pb.RecognizeResponse:
    return pb.RecognizeResponse(progress=pb.Progress(processed_through_sample=through_ms * MS))


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([progress(999)], []),
        ([progress(1000)], [(0, 1000)]),
        ([progress(1000), progress(2500)], [(0, 1000), (1000, 2000)]),
        ([progress(3400)], [(0, 1000), (1000, 2000), (2000, 3000)]),
        ([started(500), progress(5000)], []),
        ([started(500), stopped(4000), progress(4900), progress(5100)], [(4000, 5000)]),
        ([started(500), checkpoint(160, at_ms=4160), progress(5000)], [(4000, 5000)]),
        ([started(500), stopped(4000), started(4600), progress(9000)], []),
        # A second pause of a turn begins anew.
        ([started(500), stopped(4000), progress(5500), started(5600), stopped(6000), progress(7000)],
         [(4000, 5000), (6000, 7000)]),
    ],
)  # fmt: skip
def test_each_second_of_silence_is_told_once(events: list[Any], told: list[tuple[int, int]]) -> None:
    silences = Silences()
    messages = [message for event in events for message in silences.heard(event)]
    assert messages == [{"type": "Silence", "start_ms": start, "end_ms": end} for start, end in told]

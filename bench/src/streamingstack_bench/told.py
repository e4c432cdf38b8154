"""What a session is told by its recogniser, in a form that two runs can be compared in."""

from dataclasses import dataclass, field
from typing import Any

from streamingstack.asr.v1 import recognizer_pb2 as pb


@dataclass
class Told:
    """Collects events; ends a segment at the first checkpoint whose silence is at least `ends_at_ms`."""

    ends_at_ms: int = 640
    replacing: bool = False
    items: list[tuple[Any, ...]] = field(default_factory=list)

    def decide(self, checkpoint: pb.Checkpoint) -> int:
        """The session's decision; it depends on the checkpoint alone."""
        ends = checkpoint.silence_ms >= self.ends_at_ms or checkpoint.reason == pb.CHECKPOINT_REASON_CAP
        return int(pb.DECISION_END_SEGMENT if ends else pb.DECISION_CONTINUE)

    def take(self, event: pb.RecognizeResponse) -> pb.Checkpoint | None:
        """Note an event; returns the checkpoint to answer where it is one."""
        kind = event.WhichOneof("message") or ""
        body = getattr(event, kind)
        if kind in ("speech_started", "speech_stopped"):
            self.items.append((kind, body.at_sample))
        elif kind == "words":
            self._final(body.final)
        elif kind == "finalized":
            self._final(body.words)
            self.items.append((kind, body.id, body.segment, body.at_sample))
        elif kind == "checkpoint":
            if not self.replacing or self.decide(body) == pb.DECISION_END_SEGMENT:
                self._final(body.words)
            self.items.append((kind, body.segment, body.at_sample, body.silence_ms, self.decide(body)))
            return event.checkpoint
        return None

    def comparable(self) -> tuple[list[Any], list[Any]]:
        """Final words, and everything else. A loss may promise a word a little later, nothing else may move."""
        final = [item for item in self.items if item[0] == "final"]
        return final, [item for item in self.items if item[0] != "final"]

    def text(self) -> str:
        """The final words."""
        return " ".join(item[2] for item in self.items if item[0] == "final")

    def finalized(self) -> set[int]:
        """Ids of the answered Finalizes."""
        return {item[1] for item in self.items if item[0] == "finalized"}

    def _final(self, words: Any) -> None:
        self.items += [("final", word.index, word.text, word.start_sample, word.end_sample) for word in words]

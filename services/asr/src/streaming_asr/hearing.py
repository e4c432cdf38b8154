"""The words of one stream: which window each decode takes, and what becomes of its hypothesis.

The stream says where; this asks the engine and keeps the open segment's words, so that what was heard depends on
positions alone.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from streamingstack.asr.v1 import recognizer_pb2 as pb

from streaming_asr.agreement import BULK_LIMITS, DEFAULT_LIMITS, SegmentWords
from streaming_asr.endpointing import Segment
from streaming_asr.engine import SAMPLE_RATE, VAD_FRAME, HeardWord, Hypothesis, Window, WindowEngine
from streaming_asr.foresight import Ask, EarlyCalls, Standing
from streaming_asr.inbox import Recording
from streaming_asr.replies import WordIndex, heard_word

END_OF_TURN_AUDIO = 8 * SAMPLE_RATE
# The first window of a segment begins up to 4 s before it, and is decoded up to 2 s after its start.
KEPT_AUDIO = 6 * SAMPLE_RATE
# With so many frames of voice in a segment, the engine's doubt whether anybody speaks is overruled: half a second.
SURELY_VOICED = SAMPLE_RATE // 2 // VAD_FRAME
# With so many, a second, it is overruled for final words too, where a segment would be closed without any.
SURELY_SPOKEN = SAMPLE_RATE // VAD_FRAME


class Hearing:
    """Decodes the recording of one stream; `last` is what was heard last, `eot_score` the last end-of-turn score."""

    def __init__(self, opening: pb.Open, engine: WindowEngine, recording: Recording, *, replacing: bool) -> None:
        self.eot_score = 0.0
        self.last = Hypothesis()
        self._engine, self._recording, self._replacing = engine, recording, replacing
        bulk = opening.traffic_class == pb.TRAFFIC_CLASS_BULK
        self._limits = BULK_LIMITS if bulk else DEFAULT_LIMITS
        self._index = WordIndex(opening.next_word_index, counting=not replacing)
        self._steering = Window(
            pcm=recording.slice(0, 0),
            first_sample=0,
            language_codes=tuple(opening.language_codes),
            prompt=opening.prompt,
            keyterms=tuple(opening.keyterms),
            bulk=bulk,
        )
        self._next_languages: tuple[str, ...] | None = None
        self._segment: Segment | None = None
        self._words: SegmentWords | None = None
        self._closing: list[HeardWord] = []
        self._before = [heard_word(word) for word in opening.closed_words]
        self._voiced_since_grid = self._voiced_since_close = False
        self._voiced_frames = 0
        self._scored = False  # nobody has spoken since `eot_score`
        self._early = EarlyCalls()

    @property
    def grid(self) -> int:
        """How far committing decodes lie apart, in samples."""
        return self._limits.grid

    def begin(self, segment: Segment | None, final: Sequence[pb.Word] = ()) -> None:
        """A segment is open; `final` are its words so far, on a RESUME. Nothing happens when it was begun already."""
        if segment is None or self._words is not None:
            return
        self._segment = segment
        self._words = SegmentWords(
            replacing=self._replacing,
            start=max(segment.start, self._recording.begin),  # a resumed one begins where its replay does
            floor=segment.floor,
            earliest=segment.start,
            final=[heard_word(word) for word in final],
            before=self._before,
            limits=self._limits,
        )
        self._closing = []

    def resume(self, segment: Segment, opening: pb.Open) -> None:
        """A segment was open when another stream was lost: whatever was heard of it is to be heard again."""
        self.begin(segment, opening.final_words)
        assert self._words is not None, "begun just now"
        self._words.catch_up(opening.emit_after_sample // self.grid * self.grid)
        if opening.first_sample > segment.start:
            self.voiced()  # perhaps before the replay; else it is heard again

    def was_closed(self) -> None:
        """The lost stream has closed here, and what it heard is final: nothing to decode until somebody speaks."""
        if not self._replacing:
            self._voiced_since_grid = self._voiced_since_close = False

    def _take_languages(self) -> None:
        if self._next_languages is not None:
            self._steering = replace(self._steering, language_codes=self._next_languages)
            self._next_languages = None

    def end(self) -> None:
        """The segment ended; its words are context for the next."""
        self._take_languages()
        self._before = self._words.ending(self._closing) if self._words is not None else []
        self._segment = self._words = None
        self._voiced_frames = 0
        self.eot_score = 0.0
        self._closing, self.last = [], Hypothesis()
        self.drop_early()

    def drop_early(self) -> None:
        """What was begun early is for nobody any more."""
        self._early.drop()

    def voiced(self) -> None:
        """Somebody spoke, for one frame more: there is something to decode."""
        self._voiced_since_grid = self._voiced_since_close = True
        self._scored = False
        self.eot_score = 0.0  # who speaks has not finished
        self._voiced_frames += 1

    def standing(self, at: int, frame_start: int, finalize_at: int | None, *, closing: bool) -> Standing:
        """What is heard so far, for `coming_asks`; `closing`: all of it is being closed."""
        voiced, undecoded = (False, False) if closing else (self._voiced_since_close, self._voiced_since_grid)
        return Standing(at, frame_start, voiced, undecoded, self.grid, finalize_at)

    def foresee(self, ask: Ask) -> None:
        """Have the engine begin with what `close` will need at a position whose audio is there."""
        if self._words is None or self._segment is None:
            return
        if not ask.scored:
            self._early.begin("score", self._turn(self._segment, ask.at), self._engine.end_of_turn)
        start = self._words.coming_start(ask.at)
        if ask.voiced and start is not None:
            self._early.begin("words", self._window(start, ask.at), self._engine.decode)

    def steer(self, update: pb.Update) -> None:
        """Prompt and keyterms from here on, languages too unless a segment is open: then from the next one on.

        What the update leaves out stays.
        """
        self._early.drop()
        if update.HasField("language_codes"):
            self._next_languages = tuple(update.language_codes.codes)
            if self._segment is None or update.at_sample <= self._segment.start:
                self._take_languages()
        if update.HasField("prompt"):
            self._steering = replace(self._steering, prompt=update.prompt)
        if update.HasField("keyterms"):
            self._steering = replace(self._steering, keyterms=tuple(update.keyterms.terms))

    async def close(self, at: int, *, forced: bool = False) -> list[pb.Word]:
        """Decode everything up to `at`, and score the end of the turn; the words as a Checkpoint carries them.

        Without a voice since the last close nothing is decoded again, nor scored where the end is `forced`. Raises
        EngineLostError.
        """
        if self._words is None or self._segment is None:
            self.eot_score = 0.0
            return []
        turn = self._turn(self._segment, at)
        if not self._voiced_since_close:
            if not (forced and self._scored):
                self.eot_score = await self._score(turn)
            self._scored = True
            return self._index.final(self._closing if self._replacing else [])
        window = self._window(self._words.closing_start(at), at)
        words = self._early.finish("words", window, self._engine.decode)
        self.last, self.eot_score = await asyncio.gather(words, self._score(turn))
        self._scored = True
        self._closing = self._words.close(self.last, at)
        if self._words.drop_context():
            self.last = await self._engine.decode(self._window(self._words.window_start(at), at))
            self._closing = self._words.close(self.last, at)
        if self.last.doubted and self._words.unheard and self._voiced_frames >= SURELY_SPOKEN:
            self.last = replace(self.last, words=self.last.doubted)
            self._closing = self._words.close(self.last, at)
        self._voiced_since_close = self._voiced_since_grid = False
        return self._index.final(self._closing)

    def window(self, at: int) -> Window | None:
        """What a decode at grid position `at` would take; None: nobody spoke since the last. Forgets older audio."""
        if self._words is None:
            self._recording.forget(at - KEPT_AUDIO)
            return None
        begin = self._words.window_start(at)
        self._recording.forget(min(begin, at - KEPT_AUDIO))
        return self._window(begin, at) if self._voiced_since_grid else None

    async def commit(self, window: Window, at: int) -> tuple[list[pb.Word], list[HeardWord]]:
        """Decode at grid position `at`: the words that became final, and the tentative ones. Raises EngineLostError."""
        assert self._words is not None, "a window is of an open segment"
        self._voiced_since_grid = False
        self._words.begin_grid(at)
        self.last = await self._engine.decode(window)
        doubted = self._doubted(self.last, at)
        final, tentative = self._words.commit(self.last, at)
        return self._index.final(final), tentative or doubted

    async def hear_again(self, at: int) -> None:
        """The last grid decode in the context of a RESUME: nothing of it is said, but the next one agrees with it, as
        it would have without the loss. Raises EngineLostError."""
        window = self.window(at)
        if window is not None:
            await self.commit(window, at)

    async def glimpse(self, window: Window) -> Hypothesis | None:
        """A decode for tentative words; None when the engine is busy. Raises EngineLostError."""
        return await self._engine.glimpse(window)

    def tentative(self, hypothesis: Hypothesis, at: int) -> list[HeardWord] | None:
        """The tentative words of a glimpse at `at`; None when no segment is open any more."""
        if self._words is None:
            return None
        return self._doubted(hypothesis, at) or self._words.glimpse(hypothesis, at)

    def _doubted(self, hypothesis: Hypothesis, at: int) -> list[HeardWord]:
        """The first words of a segment that only voice activity is sure of, to be shown: in noise the engine takes the
        first seconds for silence. Replacing models announce a voice with their first words, and interrupt whoever
        speaks; they wait for the engine."""
        assert self._words is not None, "a hypothesis is of an open segment"
        if self._replacing or not self._words.unheard or self._voiced_frames < SURELY_VOICED:
            return []
        return self._words.glimpse(replace(hypothesis, words=hypothesis.doubted), at) if hypothesis.doubted else []

    def _turn(self, segment: Segment, at: int) -> Window:
        return self._window(max(segment.start, at - END_OF_TURN_AUDIO), at)

    async def _score(self, turn: Window) -> float:
        return await self._early.finish("score", turn, self._engine.end_of_turn)

    def _window(self, start: int, at: int) -> Window:
        start = max(start, self._recording.begin)
        return replace(self._steering, pcm=self._recording.slice(start, at), first_sample=start)

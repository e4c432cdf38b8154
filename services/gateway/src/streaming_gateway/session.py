"""One client's session, from Begin to the close: four tasks around a link, and whichever ends it first decides how."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from license_client.usage_spool import UsageEvent
from service_kit.faults import place_of
from service_kit.logs import get_logger
from streamingstack.asr.v1 import recognizer_pb2 as pb
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from streaming_gateway import wire
from streaming_gateway.audio import RECOGNISER_RATE, AudioIntake
from streaming_gateway.client_messages import ClientMessage, Command, UpdateConfiguration, read_client_message
from streaming_gateway.goodbye import GOODBYE_SECONDS
from streaming_gateway.heartbeat import Heartbeats
from streaming_gateway.last_wish import LastWish
from streaming_gateway.limits import SessionLimits
from streaming_gateway.link import MOST_ORDERS, BacklogDroppedError, LinkLostError, RecognizerLink
from streaming_gateway.outbox import Outbox
from streaming_gateway.parameters import SessionConfig, Tunable
from streaming_gateway.problems import (
    CLIENT_GONE,
    GOING_AWAY,
    SESSION_ENDED,
    Closing,
    Problem,
    cancelled,
    closing,
    expired,
    inactive,
    too_many_orders,
    too_much_backlog,
)
from streaming_gateway.report import SessionReport
from streaming_gateway.silences import Silences
from streaming_gateway.turns import Decide, Effect, Send, turn_machine

_log = get_logger(__name__)
# For the open turn to be told before the pod goes; a recogniser may be on its way out with it.
_DRAIN_SECONDS = 3.0
# For the same when the session's time is over: clients may count on its end within two seconds.
_EXPIRY_SECONDS = 1.5
_HEARING = ("vad_threshold", "checkpoints_ms", "language_codes", "prompt", "keyterms")


class Session:
    """`run` it once; it owns the link and closes it."""

    def __init__(
        self,
        *,
        session_id: str,
        config: SessionConfig,
        connection: ServerConnection,
        link: RecognizerLink,
        limits: SessionLimits,
        report: SessionReport,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session_id = session_id
        self._config = config
        self._connection = connection
        self._link = link
        self._limits = limits
        self._report = report
        self._clock = clock
        self._last_message = report.began
        self._machine = turn_machine(config.turns)
        self._intake = AudioIntake(config.connect.encoding, config.connect.sample_rate)
        self._outbox = Outbox(limits.unread_bytes)
        self._heartbeats = Heartbeats(report.began)
        self._silences = Silences()
        self._closed: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()
        self._timers_changed = asyncio.Event()
        self._last_wish: LastWish | None = None
        self._expiry = report.began + limits.session_seconds

    @property
    def backlog_seconds(self) -> float:
        """Audio received and not yet heard."""
        return max(0, self._link.received_samples - self._link.processed_samples) / RECOGNISER_RATE

    async def run(self) -> Closing:
        """From Begin to the last message; returns how to close the connection. The link is closed in every case."""
        expires_at = int(self._report.started_at.timestamp() + self._limits.session_seconds)
        self._outbox.put(wire.begin(self.session_id, expires_at, self._config.echo()))
        writer = asyncio.create_task(self._part(self._outbox.deliver(self._connection.send)))
        parts = [asyncio.create_task(self._part(part)) for part in (self._receive(), self._hear(), self._watch())]
        try:
            how = await self._closed
            await _stop(parts)
            await self._link.close()
            await self._say_the_rest(how)
        finally:
            await _stop([*parts, writer])
            await self._link.close()
        self._report.ended(how, (self._connection.close_code or 1006) if how is CLIENT_GONE else how.code)
        return how

    def drain(self) -> None:
        """The pod goes: tell the open turn, then close 1001."""
        self._close_after_the_open_turn(GOING_AWAY, self._clock() + _DRAIN_SECONDS)

    def usage(self, *, ended: bool = False) -> UsageEvent:
        """See SessionReport.usage."""
        return self._report.usage(ended=ended)

    async def _part(self, work: Coroutine[Any, Any, None]) -> None:
        """Run one of the session's tasks; however it ends, the session ends so."""
        try:
            await work
        except Problem as problem:
            self._end(closing(problem))
        except ConnectionClosed:
            self._end(CLIENT_GONE)
        except BacklogDroppedError:
            self._end(closing(cancelled("budget")))
        except LinkLostError:
            self._end(closing(cancelled("recogniser_lost")))
        except Exception as failure:  # noqa: BLE001
            # Its text may quote what was said; its type and place do not.
            place = place_of(failure)
            _log.error("session failed", session_id=self.session_id, kind=type(failure).__name__, place=place)
            self._end(closing(cancelled("internal")))

    def _end(self, how: Closing) -> None:
        if not self._closed.done():
            self._closed.set_result(how)

    async def _receive(self) -> None:
        while True:
            frame = await self._connection.recv()
            self._last_message = self._clock()
            if self._last_wish is not None:
                continue
            if isinstance(frame, bytes):
                await self._take(self._intake.feed(frame, self._last_message))
            else:
                await self._obey(read_client_message(frame))

    async def _take(self, pieces: Iterator[bytes]) -> None:
        """Give audio to the recogniser. A message may hold minutes of it: others have their turn between pieces."""
        for pcm in pieces:
            if self._last_wish is not None:
                return
            if pcm:
                self._link.send_audio(pcm)
                self._report.received(self._intake.received_seconds, self._link.received_samples)
            if self.backlog_seconds > self._limits.backlog_seconds:
                raise too_much_backlog()
            await asyncio.sleep(0)

    async def _obey(self, message: ClientMessage) -> None:
        match message:
            case Command.TERMINATE:
                await self._take(self._intake.finish())
                self._close_after_the_open_turn(SESSION_ENDED, self._expiry + _EXPIRY_SECONDS, closing(expired()))
            case Command.FORCE_ENDPOINT:
                self._check_orders()
                self._link.finalize()
            case UpdateConfiguration(change):
                self._check_orders()
                self._update(change)

    def _check_orders(self) -> None:
        """Raises Problem 3006 beyond what a session may have waiting."""
        if self._link.orders_full or self._machine.changes_waiting >= MOST_ORDERS:
            raise too_many_orders(MOST_ORDERS)

    def _update(self, change: Tunable) -> None:
        before, self._config = self._config, self._config.updated(change)
        if self._config.session_heartbeat and not before.session_heartbeat:
            self._heartbeats.restart(self._clock(), self._intake.received_seconds)
        old, new = before.hearing, self._config.hearing
        if self._config.turns != before.turns:
            self._machine.update(self._link.received_samples, self._config.turns)
        changes = {name: getattr(new, name) for name in _HEARING if getattr(new, name) != getattr(old, name)}
        if changes:
            self._link.update(**changes)
        self._timers_changed.set()

    async def _hear(self) -> None:
        async for response in self._link.events():
            self._check_family()
            self._heed_signs(response)
            for effect in self._machine.event(response):
                self._do(effect)
            wish = self._last_wish
            if wish and response.WhichOneof("message") == "finalized" and response.finalized.id == wish.finalize_id:
                self._end(wish.answered)
        raise LinkLostError("the events ended")

    def _heed_signs(self, response: pb.RecognizeResponse) -> None:
        if response.WhichOneof("message") == "progress":
            self._heartbeats.heard(response.progress.max_speech_probability)
        silences = self._silences.heard(response)
        if self._config.acknowledge_silence:
            for message in silences:
                self._outbox.put(message)

    def _check_family(self) -> None:
        if self._link.replacing is not None and self._link.replacing != self._config.universal3:
            _log.error(
                "recogniser and model disagree: set REPLACING of the recogniser or `family` of the model",
                route=self._config.model.route,
                family=self._config.model.family,
                replacing=self._link.replacing,
            )
            raise cancelled("model_mismatch")

    def _do(self, effect: Effect) -> None:
        match effect:
            case Decide(checkpoint, decision):
                self._link.answer(checkpoint, decision)
            case Send(message, since_sample):
                self._outbox.put(message)
                self._report.shown(message, since_sample)

    def _close_after_the_open_turn(self, how: Closing, deadline: float, late: Closing | None = None) -> None:
        if not self._link.received_samples:
            self._end(how)  # no recogniser has anything to say, and perhaps none is there yet
        elif self._last_wish is None:
            self._last_wish = LastWish(self._link.finalize(), how, deadline, late or how)
            self._timers_changed.set()

    async def _watch(self) -> None:
        while True:
            due = self._check_timers(self._clock())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, due - self._clock())):
                    await self._timers_changed.wait()
            self._timers_changed.clear()

    def _check_timers(self, now: float) -> float:
        """Do what is due; returns when to look again. Raises Problem."""
        if self._last_wish is not None:
            if how := self._last_wish.check(now, self.backlog_seconds):
                self._end(how)
            return max(now, min(self._last_wish.deadline, now + 1))
        if now >= self._expiry:
            self._close_after_the_open_turn(closing(expired()), now + _EXPIRY_SECONDS)
            return now
        dues = [self._expiry]
        if (patience := self._config.connect.inactivity_timeout) is not None:
            if now >= self._last_message + patience:
                raise inactive(patience)
            dues.append(self._last_message + patience)
        if self._config.session_heartbeat:
            if now >= self._heartbeats.due:
                self._outbox.put(self._heartbeats.beat(now, self._intake.received_seconds))
            dues.append(self._heartbeats.due)
        return min(dues)

    async def _say_the_rest(self, how: Closing) -> None:
        """Everything queued, then the message that belongs to this end."""
        if how is CLIENT_GONE:
            return
        with contextlib.suppress(Problem, TimeoutError):
            if how.problem is not None:
                self._outbox.put(wire.error(how.problem.code, how.problem.text))
            elif how is SESSION_ENDED:
                self._outbox.put(wire.termination(self._intake.received_seconds, self._report.session_seconds))
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._outbox.flushed()


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

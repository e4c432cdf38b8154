"""One request: who sends it, whether it may, what it holds, what is heard in it, and that it is metered."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from license_client.counts import Counts
from license_client.license import License
from license_client.places import KeyLimitReached, Place, Places, ProcessFull
from license_client.shares import Shares
from license_client.usage import Usage
from license_client.usage_spool import UsageEvent
from service_kit.logs import get_logger
from stack_model.api_keys import ApiKey
from stack_model.catalogue import GatewayModel

from streaming_sync_api.audio import Lengths, Recording, read_recording
from streaming_sync_api.auth import Authenticator
from streaming_sync_api.choice import Models, steering
from streaming_sync_api.config import TranscribeConfig, read_config
from streaming_sync_api.form import Form, FormReader, body_too_large
from streaming_sync_api.metrics import SyncMetrics
from streaming_sync_api.problems import SyncProblem, no_capacity, too_many
from streaming_sync_api.recognisers import Order, Recognisers
from streaming_sync_api.transcript import transcript

_log = get_logger(__name__)


@dataclass(frozen=True)
class Gates:
    """What stands between a client and a recogniser, in this order."""

    auth: Authenticator
    license: License
    usage: Usage
    shares: Shares
    models: Callable[[], Models]


@dataclass(frozen=True)
class Limits:
    """Bounds of one request, and how many there may be."""

    requests: int
    request_bytes: int
    lengths: Lengths
    upload_seconds: float
    quiet_seconds: float
    inference_seconds: float


@dataclass(frozen=True)
class Upload:
    """A request as it comes in; `chunks` is its body, which is read once."""

    authorization: str | None
    content_type: str
    content_length: int | None
    chunks: AsyncIterator[bytes]


class SyncApi:
    """Every request of this process."""

    def __init__(self, gates: Gates, limits: Limits, recognisers: Recognisers, metrics: SyncMetrics) -> None:
        self._gates, self._limits, self._recognisers, self._metrics = gates, limits, recognisers, metrics
        self._places = Places(limits.requests, lambda: gates.shares.others)
        self._decoding = asyncio.Lock()  # one at a time holds both what was sent and what becomes of it
        self._warm = False
        self._leaving = self._closed = False
        metrics.active.set_function(lambda: self._places.taken)

    @property
    def counts(self) -> Counts:
        """This process's recordings, as sessions of their keys, for the other services."""
        return self._places.mine

    @property
    def ready(self) -> bool:
        """Whether a new request is welcome: a verdict on the licence is there, and a recogniser was, once."""
        return self._warm and self._gates.license.checked and not self._leaving

    async def warm_up(self, pause: float = 0.5) -> None:
        """Return when a recogniser of some model takes streams."""
        while not self._warm:
            for model in self._gates.models().models:
                self._warm = self._warm or await self._recognisers.serves(model.route)
            if not self._warm:
                await asyncio.sleep(pause)

    async def drain(self, linger: float, seconds: float) -> None:
        """Not ready from now on; for `linger` seconds what is on its way is still taken, then what is in work ends."""
        self._leaving = True
        self._metrics.draining.set(1)
        _log.info("draining", requests=self._places.taken)
        await asyncio.sleep(linger)
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._places.empty.wait()

    async def transcribe(self, upload: Upload) -> dict[str, Any]:
        """The answer to one request. Raises SyncProblem."""
        began, started_at = time.monotonic(), datetime.now(UTC)
        key, session_id = self._gates.auth.key(upload.authorization), str(uuid4())
        self._check_gates()
        async with self._place(key) as place:
            form = await self._receive(upload)
            received = time.monotonic()
            config = read_config(form.config)
            model = self._gates.models().choose(config)
            self._check_license(model)
            async with self._deadline(session_id, model):
                recording = await self._read(form, config)
                del form  # what was sent is not needed while it is heard
                place.begun = True
                heard = await self._recognisers.hear(_order(session_id, model, config, recording))
        event = UsageEvent(
            session_id=session_id,
            sequence=1,
            audio_ms=recording.duration_ms,
            session_ms=round(1000 * (time.monotonic() - began)),
            model=model.speech_model,
            tenant=key.name,
            started_at=started_at.isoformat(),
            ended=True,
        )
        self._report(event, time.monotonic() - received)
        return {
            **transcript(heard.words),
            "audio_duration_ms": recording.duration_ms,
            "session_id": session_id,
            "request_time_ms": round(1000 * (time.monotonic() - began), 1),
        }

    def _report(self, event: UsageEvent, inference_seconds: float) -> None:
        """A recording was heard: it is metered, counted, and told in one line of the log."""
        self._gates.usage.ended(event)
        self._metrics.audio.labels(event.model).inc(event.audio_ms / 1000)
        self._metrics.seconds.labels(event.model).observe(inference_seconds)
        _log.info(
            "recording transcribed",
            session_id=event.session_id,
            model=event.model,
            audio_seconds=event.audio_ms / 1000,
            seconds=round(inference_seconds, 3),
        )

    def _check_gates(self) -> None:
        if self._closed:
            raise no_capacity("this server goes away; send it again", retry_after=1)
        if not self._gates.license.checked:
            raise no_capacity("the license is not checked yet; send it again")
        if not self._gates.usage.can_record:
            raise no_capacity("usage cannot be recorded; send it again later", retry_after=30)

    def _check_license(self, model: GatewayModel) -> None:
        refusal = self._gates.license.refusal({model.speech_model, model.route}, self._places.everywhere - 1)
        if refusal is None:
            return
        if refusal.exhausted:
            raise no_capacity(f"{refusal.reason}; send it again later")
        raise SyncProblem(403, "license_not_valid", f"{refusal.reason}; ask whoever runs this server")

    @contextlib.asynccontextmanager
    async def _place(self, key: ApiKey) -> AsyncIterator[Place]:
        """From the head of a request on: its body takes memory. Raises SyncProblem 429 or 503."""
        shared = key.limited or self._gates.license.limited
        with self._refusing(), self._places.one(key) as place:
            try:
                if shared:
                    await self._gates.shares.settle()
                    self._places.confirm(key)
                yield place
            finally:
                if shared:
                    self._gates.shares.tell()

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except ProcessFull:
            raise no_capacity(f"{self._places.taken} recordings are in work here; send it again") from None
        except KeyLimitReached as reached:
            raise too_many(reached.limit, reached.again_seconds) from None

    @contextlib.asynccontextmanager
    async def _deadline(self, session_id: str, model: GatewayModel) -> AsyncIterator[None]:
        """From the last byte to the words: raises SyncProblem 504."""
        seconds = self._limits.inference_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            _log.warning("recording not heard in time", session_id=session_id, route=model.route)
            detail = f"not transcribed within {seconds:g} s; send it again, or a shorter recording"
            raise SyncProblem(504, "inference_timeout", detail) from None

    async def _receive(self, upload: Upload) -> Form:
        limits = self._limits
        if upload.content_length is not None and upload.content_length > limits.request_bytes:
            raise body_too_large(limits.request_bytes)
        reader = FormReader(upload.content_type, limits.request_bytes)
        chunks = aiter(upload.chunks)
        try:
            async with asyncio.timeout(limits.upload_seconds):
                while True:
                    async with asyncio.timeout(limits.quiet_seconds):
                        chunk = await anext(chunks, None)
                    if chunk is None:
                        return reader.finish()
                    reader.feed(chunk)
        except TimeoutError:
            detail = f"the upload paused for {limits.quiet_seconds:g} s, or took {limits.upload_seconds:g} s"
            raise SyncProblem(408, "request_timeout", detail) from None

    async def _read(self, form: Form, config: TranscribeConfig) -> Recording:
        assert form.audio is not None
        async with self._decoding:
            return await asyncio.to_thread(read_recording, form.audio, form.audio_type, config, self._limits.lengths)


def _order(session_id: str, model: GatewayModel, config: TranscribeConfig, recording: Recording) -> Order:
    return Order(
        session_id=session_id,
        route=model.route,
        pcm=recording.pcm,
        language_codes=steering(model, config),
        prompt=config.context if model.family == "universal-3" else "",
        keyterms=config.keyterms,
    )

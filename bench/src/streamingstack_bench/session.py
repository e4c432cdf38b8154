"""One client session in real time: audio goes out when a microphone would have it, messages come in with their time."""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from stack_model.catalogue import family_of
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from streamingstack_bench.clips import RATE, Pcm
from streamingstack_bench.records import Received, Session
from streamingstack_bench.wire_rules import WireRules, WireViolation

OPEN_SECONDS = 10.0
FINISH_SECONDS = 20.0
CLOSE_SECONDS = 2.0
BYTES_PER_SECOND = RATE * 2


@dataclass(frozen=True)
class Target:
    """Where sessions go. `parameters` are further query parameters of the protocol, by name."""

    url: str
    api_key: str
    speech_model: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    chunk_ms: int = 100

    @property
    def address(self) -> str:
        """URL with its query; it holds no secret."""
        query = {"sample_rate": str(RATE), "speech_model": self.speech_model, **self.parameters}
        return f"{self.url.rstrip('/')}/v3/ws?{urlencode(query)}"


@dataclass(frozen=True)
class Order:
    """A control message of the client, sent once the audio up to `at_s`, in seconds, has been."""

    at_s: float
    text: str


class _Refused(Exception):
    pass


class _Broken(Exception):
    pass


async def play(
    target: Target,
    pcm: Pcm,
    advance: Callable[[float], None] = lambda _seconds: None,
    orders: Sequence[Order] = (),
) -> Session:
    """Play `pcm` (mono s16 at 16 kHz) to the server at the pace of real time and say Terminate at its end.

    Never raises for what the server does: see `fate` and `reason`. `advance` hears of every second sent; `orders` are
    sent on the way, in their order.
    """
    session = Session()
    try:
        await _converse(target, pcm, session, advance, orders)
        session.fate = "completed"
    except _Refused as no:
        session.fate, session.reason = "refused", str(no)
    except _Broken as broken:
        session.fate, session.reason = "broken", str(broken)
    return session


async def _converse(
    target: Target, pcm: Pcm, session: Session, advance: Callable[[float], None], orders: Sequence[Order]
) -> None:
    clock = asyncio.get_running_loop().time
    asked = clock()
    connection = await _open(target)
    try:
        incoming = _Incoming(connection, session, _rules(target))
        await incoming.begin()
        epoch = clock()
        session.begin_s = epoch - asked
        reading = asyncio.create_task(incoming.read(epoch))
        sending = asyncio.create_task(_send(connection, pcm, target.chunk_ms, session, epoch, advance, orders))
        try:
            await asyncio.wait({reading, sending}, return_when=asyncio.FIRST_COMPLETED)
            # What the server said, or how it closed, explains more than a send that failed.
            await asyncio.wait({reading}, timeout=FINISH_SECONDS)
            if not reading.done():
                raise _Broken(f"no Termination within {FINISH_SECONDS:.0f} s of Terminate")
            reading.result()
            if not sending.done():
                raise _Broken("Termination before Terminate")
            await incoming.closing()
        finally:
            sending.cancel()
            reading.cancel()
            await asyncio.gather(sending, reading, return_exceptions=True)
    finally:
        if session.finished_s is None:
            connection.transport.abort()
        else:
            await connection.close()


async def _open(target: Target) -> ClientConnection:
    try:
        return await connect(
            target.address,
            additional_headers={"Authorization": target.api_key},
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=2,
            max_size=2**22,
        )
    except InvalidStatus as refused:
        raise _Refused(f"HTTP {refused.response.status_code}") from None
    except (InvalidHandshake, OSError, TimeoutError) as failure:
        raise _Refused(f"no connection: {type(failure).__name__}") from None


def _rules(target: Target) -> WireRules | None:
    """The rules for this kind of session; None where the model's name tells no family."""
    formatted = target.parameters.get("format_turns", "").lower() in ("true", "1")
    try:
        return WireRules(universal3=family_of(target.speech_model) == "universal-3", format_turns=formatted)
    except ValueError:
        return None


class _Incoming:
    """Reads and times what the server says."""

    def __init__(self, connection: ClientConnection, session: Session, rules: WireRules | None) -> None:
        self._connection, self._session, self._rules = connection, session, rules

    async def begin(self) -> None:
        """Wait for Begin. Raises _Refused."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                frame = await self._connection.recv()
        except TimeoutError:
            raise _Refused(f"no Begin within {OPEN_SECONDS:.0f} s") from None
        except ConnectionClosed as closed:
            raise _Refused(_closing(closed)) from None
        message = self._take(frame)
        told = message.get("configuration")
        self._session.configuration = told if isinstance(told, dict) else {}
        if message.get("type") == "Error":
            raise _Refused(f"{message.get('error_code')} {message.get('error')}")

    async def read(self, epoch: float) -> None:
        """Until Termination. Raises _Broken."""
        clock = asyncio.get_running_loop().time
        try:
            while True:
                frame = await self._connection.recv()
                at = clock() - epoch
                message = self._take(frame)
                self._session.received.append(Received(at, message))
                if message.get("type") == "Error":
                    raise _Broken(f"{message.get('error_code')} {message.get('error')}")
                if message.get("type") == "Termination":
                    self._session.finished_s = at
                    return
        except ConnectionClosed as closed:
            raise _Broken(_closing(closed)) from None

    async def closing(self) -> None:
        """Wait for the server to close after Termination; a server that leaves it to the client breaks a rule."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.wait_closed()
        except TimeoutError:
            self._session.violations.append("the server closes after Termination")
            return
        code, reason = self._connection.close_code or 0, self._connection.close_reason or ""
        self._check(lambda rules: rules.closed(code, reason))

    def _check(self, rule: Callable[[WireRules], object]) -> None:
        if self._rules is None:
            return
        try:
            rule(self._rules)
        except WireViolation as broken:
            self._session.violations.append(str(broken))
        except (KeyError, TypeError, ValueError) as malformed:
            self._session.violations.append(f"a malformed message: {type(malformed).__name__}")
        else:
            return
        self._rules = None  # what follows from a broken rule tells nothing new

    def _take(self, frame: str | bytes) -> dict[str, object]:
        self._check(lambda rules: rules.see(frame))
        try:
            message = json.loads(frame)
        except ValueError:
            raise _Broken("a frame that is no JSON") from None
        return message if isinstance(message, dict) else {}


async def _send(
    connection: ClientConnection,
    pcm: Pcm,
    chunk_ms: int,
    session: Session,
    epoch: float,
    advance: Callable[[float], None],
    orders: Sequence[Order],
) -> None:
    """A chunk goes out when its last sample has been spoken; it is late by what the socket or this process adds."""
    clock = asyncio.get_running_loop().time
    audio, step = pcm.tobytes(), BYTES_PER_SECOND * chunk_ms // 1000
    waiting = deque(orders)
    try:
        for at in range(0, len(audio), step):
            chunk = audio[at : at + step]
            due = epoch + (at + len(chunk)) / BYTES_PER_SECOND
            await asyncio.sleep(max(0.0, due - clock()))
            await connection.send(chunk)
            session.late_s.append(clock() - due)
            session.sent_s = (at + len(chunk)) / BYTES_PER_SECOND
            advance(len(chunk) / BYTES_PER_SECOND)
            while waiting and waiting[0].at_s <= session.sent_s:
                await connection.send(waiting.popleft().text)
                session.ordered_s.append(clock() - epoch)
        await connection.send('{"type":"Terminate"}')
    except ConnectionClosed as closed:
        raise _Broken(_closing(closed)) from None


def _closing(closed: ConnectionClosed) -> str:
    """How the connection ended; a reason of the server's own words is kept, it never holds any of the audio's."""
    if closed.rcvd is None:
        return "connection lost"
    return f"closed {closed.rcvd.code} {closed.rcvd.reason}".strip()

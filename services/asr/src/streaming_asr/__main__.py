"""The recogniser process: `python -m streaming_asr`, configured by its environment."""

import asyncio
import contextlib
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from service_kit.drain import terminate_event
from service_kit.http import metrics_app, serve_http
from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings

from streaming_asr.engine import VoiceActivity
from streaming_asr.server import RecogniserServer, Serving
from streaming_asr.settings import RecogniserSettings
from streaming_asr.triton.client import TritonEngine
from streaming_asr.vad import SileroVoiceActivity

READY_LINES = {"u3-pro": "U3Pro ASR Server ready!"}

log = get_logger(__name__)


async def follow_engine(engine: TritonEngine, server: RecogniserServer, route: str) -> None:
    """Take streams while the model server is there, end them UNAVAILABLE while it is not; never returns."""
    while True:
        await engine.ready.wait()
        await server.serve()
        log.info(READY_LINES.get(route, "Ready to serve!"), route=route, port=server.port)
        await engine.lost.wait()
        log.error("the model server is away; its streams end UNAVAILABLE until it is back", route=route)
        await server.suspend("the model server is away")


async def run(
    settings: RecogniserSettings,
    engine_of: Callable[..., TritonEngine] = TritonEngine,
    voice_of: Callable[[RecogniserSettings], VoiceActivity] = lambda settings: SileroVoiceActivity(settings.vad_model),
) -> None:
    """Serve until SIGTERM, then drain. Equipment for tests brings an engine and a voice of its own."""
    terminate = terminate_event()
    registry = CollectorRegistry()
    languages = tuple(filter(None, settings.languages.split(",")))
    engine = engine_of(settings.triton_url, registry=registry, languages=languages)
    serving = Serving(
        routes=frozenset([settings.route]),
        capacity=settings.max_open_streams,
        replacing=settings.replacing,
        left_context_ms=settings.left_context_ms,
        max_replays=settings.max_replays,
        host=settings.host,
        port=settings.port,
        registry=registry,
    )
    server = RecogniserServer(serving, engine, voice_of(settings))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serve_http(metrics_app(registry), settings.host, settings.metrics_port))
        await server.start()
        await stack.enter_async_context(engine)
        following = asyncio.create_task(follow_engine(engine, server, settings.route))
        stopping = asyncio.create_task(terminate.wait())
        await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
        following.cancel()  # first: a model server that comes back must not undo the draining
        await asyncio.gather(following, return_exceptions=True)
        log.info("draining", streams=server.slots.active, seconds=settings.drain_seconds)
        await server.drain(settings.drain_seconds)


def main() -> None:
    """Read the environment and run."""
    settings = load_settings(RecogniserSettings)
    configure_logs("asr", structured=settings.structured_logging, level=settings.log_level)
    try:
        asyncio.run(run(settings))
    except (OSError, RuntimeError) as failure:  # a port that is taken: grpc raises RuntimeError
        log.error("cannot start", reason=str(failure))
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()

"""The store's life: follow the list, tell how far it is, stop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from service_kit.drain import terminate_event
from service_kit.http import metrics_app, serve_http
from service_kit.logs import configure_logs, get_logger
from service_kit.settings import load_settings
from stack_model.stored_models import StoredModelsError, parse_stored_models

from model_store.serving.app import Readiness, create_app
from model_store.serving.keeper import Keeper, Patience
from model_store.serving.metrics import StoreMetrics
from model_store.serving.settings import StoreSettings
from model_store.serving.states import State
from model_store.serving.trust import TrustError, environment_with

_log = get_logger(__name__)
_TELL_SECONDS = 10.0


@dataclass(frozen=True)
class RunningStore:
    """`port` and `metrics_port` are the bound ones."""

    keeper: Keeper
    readiness: Readiness
    port: int
    metrics_port: int


def serve_command() -> None:
    """Serve until SIGTERM; exit status 1 and one line where it cannot start."""
    settings = load_settings(StoreSettings)
    configure_logs("model-store", structured=settings.structured_logging, level=settings.log_level)
    try:
        environment_with(settings.extra_ca_file)
        asyncio.run(_serve(settings))
    except (OSError, TrustError) as failure:
        _log.error("cannot start", reason=str(failure))
        raise SystemExit(1) from None


async def _serve(settings: StoreSettings) -> None:
    terminated = terminate_event()
    async with run_store(settings) as running:
        _log.info("Ready to serve!", port=running.port, metrics_port=running.metrics_port)
        await terminated.wait()
    _log.info("stopped")


@contextlib.asynccontextmanager
async def run_store(settings: StoreSettings) -> AsyncIterator[RunningStore]:
    """A store that fetches and serves while the context is open; raises OSError for a port that is taken."""
    metrics, readiness = StoreMetrics(), Readiness()
    patience = Patience(settings.first_retry_seconds, settings.longest_retry_seconds)
    keeper = Keeper(settings.store_dir, metrics, patience, settings.fetches_at_once, settings.file_sources)
    metrics.show(lambda: keeper.states, keeper.room)
    async with contextlib.AsyncExitStack() as stack:
        app = create_app(keeper, readiness, metrics)
        port = await stack.enter_async_context(serve_http(app, settings.host, settings.server_port))
        counters = serve_http(metrics_app(metrics.registry), settings.host, settings.metrics_port)
        metrics_port = await stack.enter_async_context(counters)
        stack.push_async_callback(keeper.close)
        for work in (_follow(settings, keeper, readiness), _tell(keeper)):
            stack.push_async_callback(_stop, asyncio.create_task(work))
        try:
            yield RunningStore(keeper, readiness, port, metrics_port)
        finally:
            readiness.draining = True


async def _follow(settings: StoreSettings, keeper: Keeper, readiness: Readiness) -> None:
    """Take the list whenever its text changes: mounted ConfigMaps change by swapping links, so no time is looked at."""
    seen: str | None = None
    while True:
        try:
            text = await asyncio.to_thread(settings.models_file.read_text)
            if text != seen:
                models = parse_stored_models(text)
                seen, readiness.list_read, readiness.list_error = text, True, None
                keeper.want(models)
                _log.info("list of models read", models=[model.name for model in models])
        except (OSError, UnicodeDecodeError, StoredModelsError) as failure:
            reason = getattr(failure, "strerror", None) or str(failure)
            error = f"MODELS_FILE {settings.models_file}: {reason}; the list read before stays in force"
            if error != readiness.list_error:
                _log.error("list of models unusable", reason=error)
            readiness.list_error = error
        await asyncio.sleep(settings.poll_seconds)


async def _tell(keeper: Keeper) -> None:
    """A line now and then for each model that comes."""
    told: dict[str, int] = {}
    while True:
        await asyncio.sleep(_TELL_SECONDS)
        for state in keeper.states:
            if state.state is State.FETCHING and told.get(state.model.name) != state.bytes_done:
                told[state.model.name] = state.bytes_done
                _log.info(
                    "fetching", model=state.model.name, bytes_done=state.bytes_done, bytes_total=state.bytes_total
                )


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

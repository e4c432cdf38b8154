"""Structured logs on standard error.

Nothing spoken, no prompt, keyterm, key or token may ever be an event or a field: log ids, counts, durations, reasons.
"""

import logging
import sys

import structlog

from service_kit.faults import place_of, way_of

# Every request with its whole URL, in which there may be a token; and that a server started, once for each port.
_TALKATIVE = ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn", "botocore", "urllib3", "huggingface_hub")


def configure_logs(service: str, *, structured: bool, level: str) -> None:
    """Send structlog's and the standard library's records through one pipeline, as JSON lines or for people."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _type_and_place,
    ]
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer() if structured else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_first_words, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.INFO, logging.getLevelNamesMapping()[level.upper()]))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.contextvars.bind_contextvars(service=service)


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose first argument is an event in plain words and whose keywords are fields."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def _type_and_place(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """In place of an exception what it is, where it was raised and by which way: its text may quote a client."""
    failure = _failure_of(event.pop("exc_info", None))
    if failure is None:
        return event
    return {**event, "kind": type(failure).__name__, "place": place_of(failure), "way": " ".join(way_of(failure))}


def _first_words(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A library's event beside an exception, without what may quote: asyncio adds that and a call's arguments."""
    failure = _failure_of(event.get("exc_info"))
    if failure is None:
        return event
    said = event["event"].partition("\n")[0].partition("(")[0].strip()
    return {**event, "event": said.replace(str(failure), "...") if str(failure) else said}


def _failure_of(exc_info: object) -> BaseException | None:
    """The exception that logging's `exc_info` means: itself, a triple, or True for the one that is being handled."""
    if exc_info is True:
        return sys.exception()
    failure = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    return failure if isinstance(failure, BaseException) else None

"""Structured logs on standard error.

Nothing spoken, no prompt, keyterm, key or token may ever be an event or a field: log ids, counts, durations, reasons.
"""

import logging
import sys

import structlog

# Every request with its whole URL, in which there may be a token; and that a server started, once for each port.
_TALKATIVE = ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn", "botocore", "urllib3", "huggingface_hub")


def configure_logs(service: str, *, structured: bool, level: str) -> None:
    """Send structlog's and the standard library's records through one pipeline, as JSON lines or for people."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
            foreign_pre_chain=shared,
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

"""How the server logs: one JSON object a line on standard error, or readable lines on a terminal."""

import logging
import sys
from typing import Any

import msgspec
import structlog


def set_up_logs(level: str, worker: int | None = None) -> None:
    """Log from `level` on, with the worker's number if it has one. Call once, before anything is logged."""
    chosen = logging.getLevelNamesMapping()[level.upper()]
    readable = sys.stderr.isatty()
    # rich tracebacks would show the values of local variables, and so secrets
    on_terminal = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = on_terminal if readable else structlog.processors.JSONRenderer(_json)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *([_numbered(worker)] if worker is not None else []),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if readable else [structlog.processors.format_exc_info]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(chosen),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if readable
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=max(chosen, logging.WARNING), stream=sys.stderr)


def _numbered(worker: int) -> structlog.types.Processor:
    """Return what adds the worker's number to a record."""
    return lambda _logger, _method, event: {**event, "worker": worker}


def _json(event: dict[str, Any], **_: object) -> bytes:
    """Return one record. A sale writes ten of them: msgspec takes a sixth of json's time."""
    return msgspec.json.encode(event, enc_hook=repr)

"""How the agent's log looks: JSON lines on standard error, or for people when that is a terminal."""

import logging
import sys

import structlog


def set_up_logging(level: str) -> None:
    """Send structlog's events of `level` (a name of `logging`) and above to standard error."""
    terminal = sys.stderr.isatty()
    time = structlog.processors.TimeStamper("%H:%M:%S" if terminal else "iso", utc=not terminal)
    form: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if terminal
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            time,
            *form,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

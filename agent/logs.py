"""How the agent's log looks: JSON lines on standard error, or for people when that is a terminal.

A line that repeats itself is soon left out: a server or a machine that is away for months must not fill the
card of the board.
"""

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

AT_FIRST = 5
"""How often a line may come within `WINDOW_S` before it is left out."""

WINDOW_S = 3600.0
"""While it goes on, one such line is let through in this time, and says how many were left out."""

ABOUT_DRINKS = ("command", "drink")
"""A line with one of these is about a drink: there are as many as there are drinks, and each is wanted."""


@dataclass
class _Window:
    begun: float
    limit: int
    seen: int = 0


class Repeats:
    """A processor that leaves out what repeats itself."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._windows: dict[str, _Window] = {}

    def __call__(
        self, logger: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Return the event, or raise DropEvent. Nothing is left out for somebody who debugs."""
        if method == "debug" or any(name in event for name in ABOUT_DRINKS):
            return event
        line = str(event.get("event"))
        window = self._windows.get(line)
        if window is None or self._now() - window.begun >= WINDOW_S:
            left_out = max(0, window.seen - window.limit) if window else 0
            window = self._windows[line] = _Window(self._now(), 1 if left_out else AT_FIRST)
            if left_out:
                event["left_out"] = left_out
        window.seen += 1
        if window.seen > window.limit:
            raise structlog.DropEvent
        return event


def set_up_logging(level: str, every_line: bool = False) -> None:
    """Send structlog's events of `level` (a name of `logging`) and above to standard error.

    Without `every_line` what repeats itself is left out.
    """
    terminal = sys.stderr.isatty()
    stamp = structlog.processors.TimeStamper("%H:%M:%S" if terminal else "iso", utc=not terminal)
    form: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if terminal
        else [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            *([] if every_line else [Repeats()]),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            *form,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

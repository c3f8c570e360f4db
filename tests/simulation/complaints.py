"""What the programs complain of in a run: errors that they log, and exceptions that nobody caught."""

import contextlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import structlog

from server.errors import DatabaseError

FORESEEN = (DatabaseError, ConnectionError)
"""A full disk and a lost socket are faults of the plan; whatever else is raised is ours."""

ALARMS = frozenset(
    {
        "a part of the server failed; it starts again",
        "due work failed; it stays due",
        "agent session failed",
        "session broke by a mistake of ours",
        "command not answered by a mistake of ours",
        "the driver failed",
    }
)
"""What must not be logged for any other reason than a foreseen one."""


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Collect what is logged as an alarm inside the block; everything else that is logged costs nothing."""
    kept: list[str] = []

    def keep(logger: Any, method: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event = str(record.get("event"))
        error = record.get("exc_info")
        if error is True:
            import sys

            error = sys.exc_info()[1]
        if event in ALARMS and not _foreseen(error):
            kept.append(f"{event}: {error!r} {_place(error)}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[keep],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        cache_logger_on_first_use=False,
    )
    try:
        yield kept
    finally:
        structlog.configure(**before)


def _foreseen(error: Any) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(_foreseen(each) for each in error.exceptions)
    return type(error) in FORESEEN


def _place(error: Any) -> str:
    """Return where an exception was raised, innermost last."""
    trace = getattr(error, "__traceback__", None)
    lines = []
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " > ".join(lines[-4:])

"""The rows of the table, a module each.

A module offers `LINES`, the lines that it prints (`{scale.…}` in them stands for the size of a load), and
`prepared(folder, scale)`, an asynchronous context manager that starts what it measures and yields a function:
each call is one run and returns its figures, ours and those of the bare parts.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from bench.rows import agent, crowd, growth, parts, polls, postgres, sales
from bench.scale import Scale
from bench.table import Figures, Line

Run = Callable[[], Awaitable[Figures]]


class Row(Protocol):
    """What a module of this package offers."""

    LINES: tuple[Line, ...]

    def prepared(self, folder: Path, scale: Scale) -> AbstractAsyncContextManager[Run]:
        """Start what is measured; each call of what it yields is one run."""


ROWS: Mapping[str, Row] = {
    "parts": parts,
    "polls": polls,
    "sales": sales,
    "postgres": postgres,
    "growth": growth,
    "crowd": crowd,
    "agent": agent,
}
"""Every row by the name that `ROWS=` takes, in the order of the table."""

WITHOUT_WARM_UP = frozenset({"crowd"})
"""Rows whose runs start anew what they measure."""

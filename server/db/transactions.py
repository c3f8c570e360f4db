"""What a transaction is, what the server asks of a database, and who is told of changes. No I/O."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

import structlog

log = structlog.get_logger()

Row = Mapping[str, Any]
T = TypeVar("T")
P = ParamSpec("P")

EVERY_ORDER = ""
"""Stands for all orders where an order's id is expected; no order has it."""


class Statement(NamedTuple):
    """SQL with `$1`, `$2`, ... and the values for them.

    `touches` is the order that customers see differently once this is committed, or `EVERY_ORDER`.
    """

    sql: str
    values: tuple[Any, ...] = ()
    touches: str | None = None


Transaction = Generator[Statement, Sequence[Row], T]
"""Yields statements, is sent their rows, returns what the caller asked for."""

Touched = frozenset[str]
OnTouched = Callable[[Touched], None]
OnNotified = Callable[[str | None], None]


_SERIALIZABLE: set[Callable[..., Any]] = set()


def serializable(transaction: Callable[P, Transaction[T]]) -> Callable[P, Transaction[T]]:
    """Mark a rare write whose decision no row stands for: PostgreSQL sees which of its kind it meets."""
    _SERIALIZABLE.add(transaction)
    return transaction


def is_serializable(transaction: Callable[..., Any]) -> bool:
    """Say whether the transaction was marked so, or is one that was and has some of its arguments."""
    return getattr(transaction, "func", transaction) in _SERIALIZABLE


class Database(Protocol):
    """What the server asks of a database."""

    async def write(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the transaction alone and durably; all of it or nothing. Raises Conflict or DatabaseError."""

    async def read(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a transaction that only selects. Raises DatabaseError."""

    async def glance(self, transaction: Callable[P, Transaction[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a transaction that selects a few rows by an index, as quick as can be. Raises DatabaseError.

        On SQLite in the loop itself: a hop to a reader takes ten times as long as such a question.
        """

    def on_touched(self, callback: OnTouched) -> None:
        """Call with the orders that commits have touched, in the loop, before the writers are answered.

        A set that holds `EVERY_ORDER` means that any order may look different.
        """

    async def notify(self, channel: str, payload: str) -> None:
        """Tell whoever listens to the channel, in every process of this database. It may be lost."""

    def on_notified(self, channel: str, callback: OnNotified) -> None:
        """Call with each payload of the channel; with None when some may be lost: look at everything."""

    async def close(self) -> None:
        """Finish what waits and release the files."""


class Listeners:
    """Who wants to know what. One that fails is logged and disturbs nobody."""

    def __init__(self) -> None:
        self._touched: list[OnTouched] = []
        self._notified: dict[str, list[OnNotified]] = {}

    def on_touched(self, callback: OnTouched) -> None:
        """See `Database.on_touched`."""
        self._touched.append(callback)

    def on_notified(self, channel: str, callback: OnNotified) -> None:
        """See `Database.on_notified`."""
        self._notified.setdefault(channel, []).append(callback)

    def tell_touched(self, order_ids: Iterable[str]) -> None:
        """Tell which orders look different now."""
        touched = frozenset(order_ids)
        if touched:
            for callback in self._touched:
                _call(callback, touched)

    def tell_notified(self, channel: str, payload: str | None) -> None:
        """Tell what was said on a channel."""
        for callback in self._notified.get(channel, ()):
            _call(callback, payload)

    def tell_everything(self) -> None:
        """Something may have been missed: everyone has to look at everything."""
        self.tell_touched({EVERY_ORDER})
        for channel in self._notified:
            self.tell_notified(channel, None)


def _call(callback: Callable[[Any], None], argument: Any) -> None:
    try:
        callback(argument)
    except Exception:  # the commit stands, and its writer waits to hear so
        log.exception("a listener of the database failed")

"""Ends what nobody ended: orders never paid, late payments never decided, outcomes that stayed unknown."""

from collections.abc import Callable, Iterable
from functools import partial

from server.db import Database, Transaction
from server.due import DueWork, Work
from server.order import Event, Status
from server.presence import Presence
from server.progress import Change, Rules, happen
from server.store import orders

_ENDS = {
    Status.CREATED: Event.ABANDONED,
    Status.MANUAL_MAKE: Event.MONEY_BACK,
    Status.PAID: Event.MONEY_BACK,
    Status.MAKE_PENDING: Event.MONEY_BACK,
}


class Deadlines:
    """Looks for orders whose time is over, where this process is the one to do so."""

    def __init__(
        self,
        db: Database,
        rules: Rules,
        now_ms: Callable[[], int],
        follow: Callable[[Change], None],
        presence: Presence,
    ) -> None:
        self._db = db
        self._rules = rules
        self._now_ms = now_ms
        self._follow = follow
        self._presence = presence
        self._work = DueWork("deadlines", self._due, self._next_at, now_ms)

    def wake(self) -> None:
        """An order may be over: look now."""
        self._work.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        await self._work.run()

    async def _due(self) -> Iterable[Work]:
        if not self._presence.is_eldest:
            return []
        due = await self._db.read(orders.past_deadline, self._now_ms())
        return [(order.order_id, partial(self._end, order.order_id)) for order in due]

    async def _next_at(self) -> int | None:
        return await self._db.read(orders.next_deadline) if self._presence.is_eldest else None

    async def _end(self, order_id: str) -> None:
        change = await self._db.write(end_overdue, self._rules, order_id, self._now_ms())
        if change is not None:
            self._follow(change)


def end_overdue(rules: Rules, order_id: str, now: int) -> Transaction[Change | None]:
    """End an order whose deadline has passed; None when it has moved on meanwhile."""
    order = yield from orders.get(order_id)
    if order is None or order.deadline_at is None or order.deadline_at > now:
        return None
    event = _ENDS.get(Status(order.status))
    if event is None:
        return None
    return (yield from happen(rules, order, event, now, "timer"))

"""The customer's choice after a late payment, as a whole transaction."""

from server.db import Transaction
from server.errors import AlreadyDecided, NotFound
from server.order import Event, Status
from server.progress import Change, Rules, happen
from server.store import orders


def choose(rules: Rules, order_id: str, make_it: bool, now: int) -> Transaction[Change]:
    """Make the drink now, or give the money back. Raises NotFound, AlreadyDecided."""
    order = yield from orders.get(order_id)
    if order is None:
        raise NotFound("order_not_found", order_id)
    if order.status != Status.MANUAL_MAKE:
        raise AlreadyDecided("choice_not_possible", f"order {order_id} is {order.status}", order.device_uuid)
    event = Event.MAKE_NOW if make_it else Event.MONEY_BACK
    return (yield from happen(rules, order, event, now, "customer"))

"""What the customer's page needs to know of an order, read as one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.db import Transaction
from server.errors import NotFound
from server.order import Status
from server.store import devices, orders, payments, receipts
from server.store.rows import Device, Order, Payment, Receipt, Refund


@dataclass(frozen=True)
class Facts:
    """An order with its machine, and where its money is."""

    order: Order
    device: Device
    payments: Sequence[Payment] = ()
    refunds: Sequence[Refund] = ()
    receipts: Sequence[Receipt] = ()


def facts_of(order_id: str) -> Transaction[Facts]:
    """Return what is known, asking for no more than there can be. Raises NotFound."""
    order = yield from orders.get(order_id)
    device = (yield from devices.get(order.device_uuid)) if order is not None else None
    if order is None or device is None:
        raise NotFound("order_not_found", order_id)
    if order.status == Status.CREATED:
        return Facts(order, device)
    return Facts(
        order,
        device,
        payments=(yield from payments.of_order(order_id)),
        refunds=(yield from payments.refunds_of_order(order_id)) if order.refund_status else (),
        receipts=(yield from receipts.of_order(order_id)) if order.email or device.receipt else (),
    )

"""What becomes of a refund, as whole transactions: sent again, ended, refused."""

from server.db import Transaction
from server.payments import RefundSnapshot, RefundStatus
from server.progress import EXTRA_PAYMENT, Rules, open_case
from server.store import cases, orders, payments
from server.store.rows import Refund


def settle_refund(
    rules: Rules, refund_id: str, snapshot: RefundSnapshot, next_try_at: int, now: int
) -> Transaction[Refund | None]:
    """Apply what the provider says of a refund. None when it changes nothing."""
    refund = yield from payments.get_refund(refund_id)
    if refund is None or refund.status != "pending":
        return None
    known = {"provider_refund_id": snapshot.provider_refund_id, "updated_at": now}
    match snapshot.status:
        case RefundStatus.SUCCEEDED:
            return (yield from refund_over(rules, refund, {**known, "status": "succeeded"}, "", now))
        case RefundStatus.CANCELED:
            return (
                yield from refund_over(rules, refund, {**known, "status": "failed"}, snapshot.reason, now)
            )
    waiting = {**known, "next_try_at": next_try_at, "tries": refund.tries + 1}
    yield from payments.change_refund(refund, waiting)
    return None


def refund_refused(rules: Rules, refund_id: str, detail: str, now: int) -> Transaction[Refund | None]:
    """The provider will not give the money back: a person must."""
    refund = yield from payments.get_refund(refund_id)
    if refund is None or refund.status != "pending":
        return None
    return (yield from refund_over(rules, refund, {"status": "failed", "updated_at": now}, detail, now))


def refund_over(
    rules: Rules, refund: Refund, changes: dict[str, object], detail: str, now: int
) -> Transaction[Refund | None]:
    """End a refund with `changes`; one that failed is a case."""
    ended = yield from payments.change_refund(refund, {**changes, "detail": detail, "next_try_at": None})
    order = yield from orders.get(refund.order_id)
    if ended is None or order is None:
        return None
    if order.refund_status is not None and refund.reason != EXTRA_PAYMENT:
        order = yield from orders.change(order, {"refund_status": ended.status, "updated_at": now})
    yield from orders.add_event(
        order.order_id, now, f"refund_{ended.status}", order.status, order.status, "provider", detail
    )
    if ended.status == "failed":
        yield from open_case(rules, "refund_failed", refund.refund_id, now, detail, order)
    else:
        yield from cases.close("refund_failed", refund.refund_id, now, "provider", "refund_succeeded")
    return ended


def try_refund_later(refund_id: str, at: int, detail: str, now: int) -> Transaction[None]:
    """Send or ask for the refund again at `at`, with the same key and body."""
    refund = yield from payments.get_refund(refund_id)
    if refund is not None and refund.status == "pending":
        changes = {"next_try_at": at, "tries": refund.tries + 1, "detail": detail, "updated_at": now}
        yield from payments.change_refund(refund, changes)

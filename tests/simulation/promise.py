"""The promise, checked on a town after its run: what is broken, in words. Reads; changes nothing."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from server.payments import PaymentStatus, RefundStatus
from tests.simulation.machine import Brew
from tests.simulation.world import World

Row = dict[str, Any]

LATE_START_S = 15.0
"""A make may start this much after its life by the server's clock: the time that a frame may travel."""

FINAL_MAKES = ("done", "failed", "rejected", "expired")


@dataclass
class Facts:
    """What the world, the bank and the server's rows say, gathered once."""

    orders: dict[str, Row]
    payments: list[Row]
    refunds: list[Row]
    makes: list[Row]
    cases: list[Row]
    poured: Counter[str]
    """drink_no → cups."""


def broken(world: World) -> list[str]:
    """Return every way in which the run broke the promise; empty: it was kept."""
    facts = _facts(world)
    return [
        *(f"complaint: {complaint}" for complaint in world.complaints),
        *(f"stuck: {what}" for what in world.unquiet),
        *_money(world, facts),
        *_machines(world, facts),
        *_orders(facts),
        *_devices(world, facts),
    ]


def _facts(world: World) -> Facts:
    return Facts(
        orders={row["order_id"]: row for row in world.rows("SELECT * FROM orders")},
        payments=world.rows("SELECT * FROM payments"),
        refunds=world.rows("SELECT * FROM refunds"),
        makes=world.rows("SELECT * FROM makes"),
        cases=world.rows("SELECT * FROM cases"),
        poured=Counter(brew.drink_no for board in world.boards for brew in _poured(board.iron.brews)),
    )


def _poured(brews: list[Brew]) -> list[Brew]:
    return [brew for brew in brews if brew.poured]


def _drink_no(order_id: str) -> str:
    return order_id.replace("order", "drink")


# --- money ------------------------------------------------------------------------------------------


def _money(world: World, facts: Facts) -> Iterator[str]:
    given_back: Counter[str] = Counter()
    for refund in world.bank.refunds.values():
        if refund.status is not RefundStatus.CANCELED:
            given_back[refund.payment_id] += 1
    for payment_id, times in given_back.items():
        if times > 1:
            yield f"payment {payment_id} was refunded {times} times"
    kept: Counter[str] = Counter()
    for payment in world.bank.payments.values():
        order_id = payment.metadata.get("order_id")
        if payment.status is PaymentStatus.WAITING_FOR_CAPTURE and not _open(facts, order_id):
            yield f"money of {order_id} is held ({payment.payment_id}), and nobody is asked"
        if payment.status is PaymentStatus.SUCCEEDED and not given_back[payment.payment_id]:
            if order_id is not None:
                kept[order_id] += 1
            elif not _case(facts, "stray_money", payment.payment_id):
                yield f"money of a stranger ({payment.payment_id}) is in front of nobody"
    for order_id in facts.orders:
        yield from _balance(world, facts, order_id, kept[order_id])


def _balance(world: World, facts: Facts, order_id: str, kept: int) -> Iterator[str]:
    """One payment, one drink; none, none; anything else is in front of a person, or was."""
    cups = facts.poured[_drink_no(order_id)]
    cases = [case for case in facts.cases if case["order_id"] == order_id]
    is_open = any(case["closed_at"] is None for case in cases)
    if order_id in world.technician.erred or is_open:
        return
    if kept > cups:
        yield f"{order_id}: {kept} payments kept for {cups} drinks, and no open case"
    given_up = any(
        case["closed_by"] in ("timer", "provider") and case["resolution"] == "money_back" for case in cases
    )
    loss = any(case["kind"] == "delivered_and_refunded" for case in cases)
    if cups > kept and not loss and not given_up:
        yield f"{order_id}: {cups} drinks for {kept} payments, and no loss on record"


def _open(facts: Facts, order_id: str | None) -> bool:
    return any(case["order_id"] == order_id and case["closed_at"] is None for case in facts.cases)


def _case(facts: Facts, kind: str, subject: str) -> bool:
    return any(case["kind"] == kind and case["subject"] == subject for case in facts.cases)


# --- machines ---------------------------------------------------------------------------------------


def _machines(world: World, facts: Facts) -> Iterator[str]:
    told = [(command_id, at) for board in world.boards for command_id, at in board.iron.told]
    for command_id, times in Counter(command_id for command_id, _ in told).items():
        if times > 1:
            yield f"{command_id} moved the machine {times} times"
    known = {make["command_id"]: make for make in facts.makes}
    for command_id, at in told:
        if command_id not in known:
            yield f"the machine was moved by {command_id}, which nobody ordered"
            continue
        late_s = _seconds(world, known[command_id]["expires_at"], at)
        if late_s > LATE_START_S:
            yield f"{command_id} was started {late_s:.1f} s after the end of its life"
    for order_id, order in facts.orders.items():
        cups = facts.poured[_drink_no(order_id)]
        again = len(
            world.rows(f"SELECT 1 FROM order_events WHERE order_id = '{order_id}' AND event = 'make_again'")
        )
        if cups > 1 + again:
            yield f"{order_id} ({order['status']}) was poured {cups} times"


def _seconds(world: World, at_ms: int, then_s: float) -> float:
    """Return by how much `then_s` is after `at_ms`, leaving out what the server's clock was stepped by."""
    from tests.simulation.service import START_MS

    return then_s - (at_ms - START_MS) / 1000 - 4 * world.plan.server_clock_ms / 1000


# --- orders and makes -------------------------------------------------------------------------------


def _orders(facts: Facts) -> Iterator[str]:
    unknown = {
        case["order_id"]
        for case in facts.cases
        if case["closed_at"] is None and case["kind"] == "outcome_unknown"
    }
    for order_id, order in facts.orders.items():
        if order["status"] in ("paid", "make_pending") and order_id not in unknown:
            yield f"{order_id} is {order['status']}, and nobody is asked"
        if order["status"] in ("created", "pending", "manual_make"):
            yield f"{order_id} is still {order['status']}"
        if order["status"] == "make_failed" and order["refund_status"] is None:
            yield f"{order_id} has failed and no money goes back"
    for make in facts.makes:
        order = facts.orders[make["order_id"]]
        counts = make["attempt_no"] == order["attempt_no"]
        settled = order["status"] in ("successful", "make_failed")
        if make["state"] not in FINAL_MAKES and order["order_id"] not in unknown and counts and not settled:
            yield f"{make['command_id']} is {make['state']}, and nobody is asked"
        if make["state"] == "done":
            yield from _refunded_after(facts, make)


def _refunded_after(facts: Facts, make: Row) -> Iterator[str]:
    bought = [payment["payment_id"] for payment in facts.payments if payment["order_id"] == make["order_id"]]
    for refund in facts.refunds:
        own = refund["reason"] == "Напиток не приготовлен"
        if refund["payment_id"] in bought and own and refund["created_at"] > make["ended_at"]:
            yield f"{refund['refund_id']} began after {make['command_id']} was proved made"


# --- devices ----------------------------------------------------------------------------------------


def _devices(world: World, facts: Facts) -> Iterator[str]:
    agents = {row["device_uuid"]: row for row in world.rows("SELECT * FROM agents")}
    for board in world.boards:
        if board.name != "twin" and agents[board.device_uuid]["connected_at"] is None:
            yield f"{board.device_uuid} is connected and shown as away"
        yield from _truths(board, {make["command_id"]: make for make in facts.makes})


def _truths(board: Any, makes: dict[str, Row]) -> Iterator[str]:
    """What the device has proved, the server knows, or it is open: a retired board may take it with it."""
    still_open = ("overdue", "unknown") if board.retired else ()
    for command_id, state in board.disk.rows("SELECT command_id, state FROM commands"):
        make = makes.get(command_id)
        if make is None:
            yield f"{board.name} knows {command_id}, which nobody ordered"
        elif make["state"] in still_open:
            continue
        elif state == "done" and make["state"] != "done":
            yield f"{board.name} has made {command_id}, and the server says {make['state']}"
        elif state == "failed" and make["state"] not in ("failed", "done", "unknown"):
            yield f"{board.name} has not made {command_id}, and the server says {make['state']}"

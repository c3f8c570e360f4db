"""What happens to make commands, as whole transactions: claimed, expired, overdue, reported.

What a command's change means for its order is written in the same transaction, by `progress.happen`.
"""

from collections.abc import Sequence
from typing import Any

from agent.wire import Code, Machine, Report
from server import make as make_core
from server.acceptance import machine_columns
from server.db import Transaction
from server.make import State, sent_in
from server.order import Event, Status
from server.progress import Change, Rules, happen
from server.store import devices, makes, orders
from server.store.rows import Make, Order

GRACE_MS = 25_000
"""Added to a command's life before it is overdue: the time in which a dead session is known, and some."""


class StaleSession(Exception):
    """The device has a newer session: nothing of the older one counts."""


def claim_make(device_uuid: str, epoch: int, journal_id: str, now: int) -> Transaction[Make | None]:
    """Take the device's longest waiting command for sending: from here on only the agent's word ends it.

    None when nothing waits or its machine is taken. Raises StaleSession when the device has a newer session.
    """
    if (yield from devices.newest_epoch(device_uuid)) != epoch:
        raise StaleSession(f"{device_uuid}: session {epoch} is over")
    return (yield from _claim(device_uuid, epoch, journal_id, now))


def _claim(device_uuid: str, epoch: int, journal_id: str, now: int) -> Transaction[Make | None]:
    make = yield from makes.next_for_free_machine(device_uuid, now)
    if make is None:
        return None
    return (yield from makes.change(make, sent_in((epoch, journal_id), now)))


def give_up_make(
    rules: Rules, command_id: str, state: State, code: Code, said: str, now: int
) -> Transaction[Change | None]:
    """End a command that surely was never sent: it is `state` with `code`, and the order not made."""
    make = yield from makes.get(command_id)
    if make is None or make.state not in (State.QUEUED, State.SENT):
        return None
    ended = yield from makes.change(
        make, {"state": state, "code": code, "said": said, "ended_at": now, "wake_at": None}
    )
    order = yield from orders.get(make.order_id)
    if ended is None or order is None or order.attempt_no != make.attempt_no:
        return None
    return (yield from happen(rules, order, Event.NOT_MADE, now, "server", code=code, said=said, make=ended))


def expire_queued(rules: Rules, command_id: str, now: int) -> Transaction[Change | None]:
    """End a command whose life ran out before it was sent to any agent."""
    make = yield from makes.get(command_id)
    if make is None or make.state != State.QUEUED or make.expires_at > now:
        return None
    agent = yield from devices.agent(make.device_uuid)
    if agent is None or agent.connected_at is None:
        code, said = Code.AGENT_OFFLINE, "the agent was not connected while the order lived"
    elif (yield from makes.in_flight(make.device_uuid)) is not None:
        code, said = Code.AGENT_REJECTED_BUSY, "the machine was taken by another order all the while"
    else:
        code, said = Code.EXPIRED_BEFORE_START, "the command could not be sent while the order lived"
    return (yield from give_up_make(rules, command_id, State.EXPIRED, code, said, now))


def overdue_make(rules: Rules, command_id: str, wake_at: int, now: int) -> Transaction[Change | None]:
    """The agent is silent past the deadline: the outcome is not known, and a person is told.

    None when something has happened to the command since it was claimed until `wake_at`.
    """
    make = yield from makes.get(command_id)
    if make is None or make.state not in make_core.IN_FLIGHT or make.wake_at != wake_at:
        return None
    code = Code.TIMEOUT_NO_RESULT
    said = f"no word from the agent since the command was {make.state}"
    late = yield from makes.change(make, {"state": State.OVERDUE, "code": code, "wake_at": None})
    order = yield from orders.get(make.order_id)
    if late is None or order is None or order.attempt_no != make.attempt_no:
        return None
    return (
        yield from happen(rules, order, Event.OUTCOME_UNKNOWN, now, "timer", code=code, said=said, make=late)
    )


def take_in(
    rules: Rules,
    device_uuid: str,
    epoch: int,
    journal_id: str,
    said: Sequence[Report | Machine],
    free: bool,
    now: int,
) -> Transaction[tuple[list[Change | None], Make | None]]:
    """Take in what a session has said, in its order, also of the machine's state.

    If that leaves the machine `free`, the device's next waiting command is taken for sending. Return for each
    report what it changed of an order, and that command. Raises StaleSession when the device has a newer
    session.
    """
    changes = []
    for message in said:
        if isinstance(message, Report):
            change = yield from take_report(rules, device_uuid, epoch, journal_id, message, now)
            changes.append(change)
        elif not (yield from devices.change_agent(device_uuid, epoch, machine_columns(message.machine, now))):
            raise StaleSession(f"{device_uuid}: session {epoch} is over")
    return changes, (yield from _claim(device_uuid, epoch, journal_id, now)) if free else None


def take_report(
    rules: Rules, device_uuid: str, epoch: int, journal_id: str, report: Report, now: int
) -> Transaction[Change | None]:
    """Take in what a device says of a command. None when it changes nothing of an order.

    Raises StaleSession when the device has a newer session.
    """
    if not (yield from devices.reported(device_uuid, epoch, report.seq)):
        raise StaleSession(f"{device_uuid}: session {epoch} is over")
    make = yield from makes.get(report.command_id)
    if make is None or make.device_uuid != device_uuid:
        return None
    same_journal, was_received = make.journal_id == journal_id, make.received_at is not None
    step = make_core.advance(State(make.state), report, same_journal, was_received)
    order = yield from orders.get(make.order_id)
    if order is None:
        return None
    if step is None:
        if report.seq is not None:
            note = f"attempt {make.attempt_no} is {make.state}; the agent says {report.state}: {report.said}"
            yield from orders.add_event(
                order.order_id, now, "report", order.status, order.status, "agent", note
            )
        return None
    changed = yield from makes.change(make, _make_changes(rules, make, step, report, now))
    if changed is None:
        return None
    if make.attempt_no != order.attempt_no and step.event is not Event.MADE:
        return None  # an attempt that no longer counts moves the order only by a proved drink
    return (yield from _order_step(rules, order, changed, step, report, now))


def _make_changes(rules: Rules, make: Make, step: make_core.Step, report: Report, now: int) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "state": step.state,
        "code": step.code,
        "actuated": report.actuated,
        "evidence": report.evidence,
        "said": report.said,
    }
    match step.state:
        case State.RECEIVED:
            changes |= {"received_at": now, "wake_at": max(now, make.expires_at) + GRACE_MS}
        case State.STARTED:
            changes |= {"received_at": make.received_at or now, "started_at": now}
            changes |= {"wake_at": now + rules.make_result_ms}
        case State.UNKNOWN:
            changes |= {"wake_at": None}
        case _:
            changes |= {"ended_at": now, "wake_at": None}
    return changes


def _order_step(
    rules: Rules, order: Order, make: Make, step: make_core.Step, report: Report, now: int
) -> Transaction[Change]:
    event, code, life_until = step.event, step.code, None
    if event is Event.COMMAND_LOST:
        if now < make.expires_at and order.status == Status.PAID:
            life_until = make.expires_at
        else:
            event = Event.NOT_MADE
    return (
        yield from happen(
            rules, order, event, now, "agent", code=code, said=report.said, make=make, life_until=life_until
        )
    )

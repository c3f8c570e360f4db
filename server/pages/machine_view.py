"""Machines, failures and cases as technicians' pages show them: rows in, contexts of templates out. Pure."""

from typing import Any

from server.case_work import ACTIONS
from server.make import State
from server.moments import age, instant, moment
from server.money import price_text
from server.order import AWAITS_DRINK, Status
from server.sale import why_not_selling
from server.store.desk import Failure, Machine, OpenCase, Shop
from server.store.rows import Agent, Notification
from server.texts import Text, failure, text


def machines(fleet: list[Machine], q: str, now: int, threshold_ms: int, lang: str) -> list[dict[str, Any]]:
    """Return the machines with `q` in place, seller or number: those in trouble first, then by place."""
    wanted = q.strip().casefold()
    shown = [machine(one, now, threshold_ms, lang) for one in fleet if wanted in _searched(one)]
    return sorted(
        shown, key=lambda one: (not in_trouble(one), one["location"].casefold(), one["device_uuid"])
    )


def _searched(machine: Machine) -> str:
    device = machine.device
    return f"{device.location}\n{device.merchant_name}\n{device.device_uuid}".casefold()


def in_trouble(shown: dict[str, Any]) -> bool:
    """Say whether a technician has something to do at this machine."""
    return bool(
        not shown["online"]
        or shown["stops_selling"]
        or shown["open_cases"]
        or shown["machine_state"] == "error"
    )


def machine(one: Machine, now: int, threshold_ms: int, lang: str) -> dict[str, Any]:
    """Return a machine. Without a connection its state is `unknown`; `state_text` tells the last known."""
    agent = one.agent
    online = agent is not None and agent.connected_at is not None
    return {
        "device_uuid": one.device.device_uuid,
        "location": one.device.location,
        "merchant_name": one.device.merchant_name,
        "online": online,
        "since_text": _since(agent, now, lang),
        "machine_state": (agent.machine_state if agent and online else None) or "unknown",
        "state_text": _state(agent, online, lang),
        "machine_model": agent.machine_model if agent else None,
        "machine_code": agent.machine_code if agent and online else None,
        "machine_said": agent.machine_said if agent and online else None,
        "stops_selling": why_not_selling(agent, now, threshold_ms) is not None,
        "last_failure": failure_line(one.last_failure, lang) if one.last_failure else None,
        "open_cases": one.open_cases,
    }


def _since(agent: Agent | None, now: int, lang: str) -> str:
    if agent is not None and agent.connected_at is not None:
        return text("tech.since", lang, moment=moment(agent.connected_at))
    if agent is None or agent.last_seen_at is None:
        return text("tech.never_online", lang)
    gone = age(agent.last_seen_at, now, lang)
    return text("tech.gone_since", lang, age=gone, moment=moment(agent.last_seen_at))


def _state(agent: Agent | None, online: bool, lang: str) -> str:
    if agent is None or agent.machine_state is None or agent.machine_at is None:
        return text("tech.not_known", lang)
    state = text(f"machine.{agent.machine_state}", lang)
    if online:
        return state
    known = ", ".join(part for part in (state, agent.machine_code, agent.machine_said) if part)
    return text("tech.last_known", lang, state=known, moment=moment(agent.machine_at))


def failure_line(failed: Failure, lang: str) -> dict[str, Any]:
    """Return a failure: when, which drink, what it was, what the machine said and what to do."""
    told = failure(failed.code)
    return {
        "at_text": moment(failed.at),
        "at_iso": instant(failed.at),
        "order_id": failed.order_id,
        "drink_name": failed.drink_name,
        "size": text(f"size.{failed.size}", lang),
        "price_text": price_text(failed.price_minor),
        "code": failed.code,
        "text": _in(told.technician, lang),
        "action": _in(told.action, lang),
        "said": failed.said,
        "severity": told.severity,
        "transition": transition(failed),
        "refund_status": failed.refund_status,
        "outcome": text(f"tech.outcome_{outcome(failed)}", lang),
    }


def transition(failed: Failure) -> str | None:
    """Return what the failure did to the order, as "make_pending → make_failed"; None: nothing."""
    if failed.from_status is None or failed.from_status == failed.to_status:
        return None
    return f"{failed.from_status} → {failed.to_status}"


def outcome(failed: Failure) -> str:
    """Return what became of the drink: made, again (a newer attempt runs), unknown, partial, yes, not_made.

    `yes` is a machine that did all its work and still reported a failure.
    """
    if failed.status == Status.SUCCESSFUL:
        return "made"
    if failed.status in AWAITS_DRINK and failed.newest_attempt > failed.attempt_no:
        return "again"
    if failed.state in (State.UNKNOWN, State.OVERDUE):
        return "unknown"
    return failed.actuated if failed.actuated in ("partial", "yes", "unknown") else "not_made"


RISKY = frozenset({"make_again", "refund_again"})
"""Actions that may cost a second drink or a second refund."""


def case(one: OpenCase, now: int, lang: str) -> dict[str, Any]:
    """Return a case as the list shows it."""
    return {
        "case_id": one.case_id,
        "kind": one.kind,
        "kind_text": text(f"case.{one.kind}", lang),
        "order_id": one.order_id,
        "device_uuid": one.device_uuid,
        "location": one.location,
        "drink_name": one.drink_name,
        "price_text": price_text(one.price_minor) if one.price_minor is not None else None,
        "age_text": age(one.opened_at, now, lang),
        "opened_text": moment(one.opened_at),
        "code": one.failure_code,
        "said": one.failure_said,
        "refund_status": one.refund_status,
        "detail": one.detail,
        "status": one.status,
        "actions": [
            {"name": name, "label": text(f"case.{name}", lang), "needs_reason": True, "danger": name in RISKY}
            for name in ACTIONS[one.kind]
        ],
    }


def shop(one: Shop, now: int, lang: str) -> dict[str, Any]:
    """Return a merchant's account as the list shows it."""
    heard = None
    if one.heard_at is not None:
        heard = f"{moment(one.heard_at)} ({age(one.heard_at, now, lang)})"
    return {"merchant_name": one.merchant_name, "scenario": one.scenario, "heard_text": heard}


def notification(one: Notification) -> dict[str, Any]:
    """Return a notification that fits nothing of ours, as the list shows it."""
    return {
        "provider": one.provider,
        "event": one.event,
        "object_id": one.object_id,
        "received_text": moment(one.received_at),
        "outcome": one.outcome,
    }


def _in(words: Text, lang: str) -> str:
    return words.en if lang == "en" else words.ru

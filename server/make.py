"""The life of one make command as the server knows it. Pure.

A command's final truths are `done`, `failed`, `rejected` and `expired`; only a proved drink overrules the
others. `unknown` and `overdue` are open: late evidence or a person settles them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.wire import Actuated, Code, Report
from agent.wire import MakeState as DeviceState
from server.order import Event


class State(StrEnum):
    """Where a make command stands."""

    QUEUED = "queued"
    """Written with the payment; not sent to any agent yet."""
    SENT = "sent"
    """Sent, or about to be: from here on only the agent's word ends it."""
    RECEIVED = "received"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The agent has no proof either way."""
    REJECTED = "rejected"
    EXPIRED = "expired"
    OVERDUE = "overdue"
    """The agent is silent past the deadline. Not final."""


FINAL = frozenset({State.DONE, State.FAILED, State.REJECTED, State.EXPIRED})
IN_FLIGHT = frozenset({State.SENT, State.RECEIVED, State.STARTED})
"""States in which the machine is taken; no second command is sent to it."""

ANSWER_WITHIN_MS = 5_000
"""How long a command may stay unanswered in a session before the agent is asked where it stands."""

Session = tuple[int, str]
"""Epoch and journal of a device's session."""
SessionOf = Callable[[str], Session | None]
"""The session that a device has with this process, if any."""

_D, _S = DeviceState, State
_ENDS = {
    _D.DONE: _S.DONE,
    _D.FAILED: _S.FAILED,
    _D.UNKNOWN: _S.UNKNOWN,
    _D.REJECTED: _S.REJECTED,
    _D.EXPIRED: _S.EXPIRED,
}
_OPEN = {_D.STARTED: _S.STARTED, **_ENDS}

TRANSITIONS: dict[State, dict[DeviceState, State]] = {
    _S.QUEUED: {},
    _S.SENT: {**_OPEN, _D.RECEIVED: _S.RECEIVED, _D.NOT_SEEN: _S.EXPIRED},
    _S.RECEIVED: dict(_OPEN),
    _S.STARTED: {_D.DONE: _S.DONE, _D.FAILED: _S.FAILED, _D.UNKNOWN: _S.UNKNOWN},
    _S.OVERDUE: {**_ENDS, _D.NOT_SEEN: _S.EXPIRED},  # a case already: only an end settles it
    _S.UNKNOWN: {_D.DONE: _S.DONE, _D.FAILED: _S.FAILED},
    _S.DONE: {},
    _S.FAILED: {_D.DONE: _S.DONE},
    _S.REJECTED: {_D.DONE: _S.DONE},
    _S.EXPIRED: {_D.DONE: _S.DONE},
}
"""State → what the device says → next state. What is not here changes nothing (and is kept as an event).

A proved drink counts after every other word: a person's, a second board's, or that of a journal rolled back.
"""


@dataclass(frozen=True)
class Step:
    """The state a report leads to, and what it means for the order."""

    state: State
    event: Event
    code: Code | None = None


_DENIALS = frozenset({_D.NOT_SEEN, _D.REJECTED, _D.EXPIRED})
"""Answers that say: this command has moved nothing here."""


def advance(
    state: State, report: Report, same_journal: bool = True, was_received: bool = False
) -> Step | None:
    """Return what a device's report changes, or None when it changes nothing.

    `same_journal` says that the device speaks from the journal that the command was sent to: a denial from
    another one (a new SD card, a restored image, a second board) proves nothing. Neither does `not_seen` of a
    command that the device once said it had received (`was_received`).
    """
    after = TRANSITIONS[state].get(report.state)
    if after is None:
        return None
    forgotten = report.state is DeviceState.NOT_SEEN and was_received
    if report.state in _DENIALS and (forgotten or not same_journal):
        return Step(State.UNKNOWN, Event.OUTCOME_UNKNOWN, Code.POWER_LOSS)
    if report.state is DeviceState.NOT_SEEN:
        return Step(State.EXPIRED, Event.COMMAND_LOST, Code.AGENT_OFFLINE)
    return _step(after, report)


def _step(state: State, report: Report) -> Step:
    match state:
        case State.RECEIVED | State.STARTED:
            return Step(state, Event.COMMAND_RECEIVED)
        case State.DONE:
            return Step(state, Event.MADE)
        case State.UNKNOWN:
            return Step(state, Event.OUTCOME_UNKNOWN, report.code or Code.TIMEOUT_NO_RESULT)
        case State.FAILED if report.actuated is Actuated.UNKNOWN:
            return Step(State.UNKNOWN, Event.OUTCOME_UNKNOWN, report.code or Code.TIMEOUT_NO_RESULT)
        case State.FAILED:
            return Step(state, Event.NOT_MADE, report.code or Code.MACHINE_ERROR)
        case State.REJECTED:
            return Step(state, Event.NOT_MADE, report.code or Code.AGENT_REJECTED_BUSY)
    return Step(state, Event.NOT_MADE, report.code or Code.EXPIRED_BEFORE_START)


def no_session(device_uuid: str) -> Session | None:
    """Return that the device is not connected to this process."""
    return None


def sent_in(session: Session, now: int) -> dict[str, Any]:
    """Return what changes of a command that is taken for sending in a session."""
    epoch, journal_id = session
    return {
        "state": State.SENT,
        "epoch": epoch,
        "journal_id": journal_id,
        "sent_at": now,
        "wake_at": now + ANSWER_WITHIN_MS,
    }

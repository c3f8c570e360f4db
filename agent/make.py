"""The life of one make on the device: what to answer, what a restart means, what evidence proves. Pure.

Everything that changes a make's state stands in `TRANSITIONS`; the journal refuses any other step. The
functions below take what is known and return what to write down and say; `runner` does it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.machine import Outcome, Request
from agent.wire import Actuated, Code, Make, MakeState, Report

LIFE_LIMIT_MS = 3_600_000
"""Longest life that is believed."""

SAID_LIMIT = 2000
"""Characters kept of what a machine said, so that a report always fits its frame."""


class Event(StrEnum):
    """What can happen to a make on the device."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    TOO_LATE = "too_late"
    """Its life ended before the machine was touched."""
    ASKED = "asked"
    """The server asked for an id that was never seen: it is refused for good."""
    RESTARTED = "restarted"
    """The agent stopped before the machine was touched; old work is never begun after a restart."""
    STARTED = "started"
    MADE = "made"
    NOT_MADE = "not_made"
    NO_PROOF = "no_proof"


class IllegalStep(Exception):
    """An event came that cannot happen in this state: a mistake of ours."""

    def __init__(self, state: MakeState | None, event: Event) -> None:
        super().__init__(f"{event} cannot happen to a make that is {state or 'not known'}")


_S, _E = MakeState, Event

TRANSITIONS: Mapping[MakeState | None, Mapping[Event, MakeState]] = {
    None: {
        _E.ACCEPTED: _S.RECEIVED,
        _E.REFUSED: _S.REJECTED,
        _E.TOO_LATE: _S.EXPIRED,
        _E.ASKED: _S.NOT_SEEN,
    },
    _S.RECEIVED: {
        _E.REFUSED: _S.REJECTED,
        _E.TOO_LATE: _S.EXPIRED,
        _E.RESTARTED: _S.EXPIRED,
        _E.NOT_MADE: _S.FAILED,
        _E.STARTED: _S.STARTED,
    },
    _S.STARTED: {
        _E.MADE: _S.DONE,
        _E.NOT_MADE: _S.FAILED,
        _E.NO_PROOF: _S.UNKNOWN,
    },
    _S.UNKNOWN: {
        _E.MADE: _S.DONE,
        _E.NOT_MADE: _S.FAILED,
    },
    _S.NOT_SEEN: {},
    _S.DONE: {},
    _S.FAILED: {},
    _S.REJECTED: {},
    _S.EXPIRED: {},
}
"""State → event → next state. None: the device has never seen the command. UNKNOWN yields to late proof."""

UNREADABLE = frozenset({Code.SERIAL_OPEN_FAILED, Code.SERIAL_NO_ANSWER, Code.SERIAL_BAD_ANSWER})
"""Reasons for having no proof that may pass: the machine may be readable a little later."""

NOT_TAKEN = frozenset({Code.AGENT_REJECTED_BUSY, Code.DRINK_UNKNOWN})
"""Reasons for which a command is refused rather than failed: nothing is wrong with the machine."""


def advance(state: MakeState | None, event: Event) -> MakeState:
    """Return the state after `event`, or raise IllegalStep."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalStep(state, event) from None


def entered_from(state: MakeState) -> frozenset[MakeState]:
    """Return the states of a known command from which `state` can be entered."""
    return frozenset(before for before, steps in TRANSITIONS.items() if before and state in steps.values())


@dataclass(frozen=True)
class Record:
    """One command as the journal keeps it. `before` is the driver's evidence from before the make."""

    command_id: str
    payload_hash: str = ""
    order_id: str = ""
    drink_no: str = ""
    size: str = ""
    state: MakeState = MakeState.RECEIVED
    before: str = ""
    code: Code | None = None
    actuated: Actuated = Actuated.NO
    evidence: str = "none"
    said: str = ""

    @property
    def request(self) -> Request:
        """What the machine is asked for."""
        return Request(self.drink_no, self.size)

    def after(
        self,
        event: Event,
        code: Code | None = None,
        said: str = "",
        actuated: Actuated = Actuated.NO,
        evidence: str = "none",
    ) -> "Record":
        """Return the record after `event`, or raise IllegalStep."""
        state = advance(self.state, event)
        said = said[:SAID_LIMIT]
        return replace(self, state=state, code=code, said=said, actuated=actuated, evidence=evidence)

    def report(self, seq: int | None = None) -> Report:
        """Return what the server is told of this command."""
        return Report(self.command_id, self.state, seq, self.code, self.actuated, self.evidence, self.said)


# --- what the server asks -------------------------------------------------------------------------


@dataclass(frozen=True)
class Accept:
    """Journal `record`, say so, then drive the machine."""

    record: Record


@dataclass(frozen=True)
class Reject:
    """Journal `record`, so that a repeat is refused too, and say so. Nothing has moved."""

    record: Record


@dataclass(frozen=True)
class Bury:
    """Journal `record`, a tombstone, then say that the command was never seen and never will be."""

    record: Record


@dataclass(frozen=True)
class Repeat:
    """Say what is known; nothing changes."""

    report: Report


@dataclass(frozen=True)
class Hindrance:
    """Why no new make can be taken now."""

    code: Code
    said: str


def payload_hash(make: Make) -> str:
    """Return what tells two orders under one id apart. The life and the session do not count."""
    content = json.dumps([make.order_id, make.drink_no, make.size], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def life_s(make: Make) -> float:
    """Return how long a `Make` may wait for its start, in seconds from its receipt."""
    return min(max(make.ttl_ms, 0), LIFE_LIMIT_MS) / 1000


def answer_make(
    known: Record | None, make: Make, life_left_s: float, hindrance: Hindrance | None
) -> Accept | Reject | Repeat:
    """Return what to do with a `Make`. `known` is what the device has of its id, `life_left_s` may be < 0."""
    if known is not None:
        return Repeat(_known_already(known, make))
    fresh = Record(make.command_id, payload_hash(make), make.order_id, make.drink_no, make.size)
    if hindrance is not None:
        return Reject(_entered(fresh, Event.REFUSED, hindrance.code, hindrance.said))
    if life_left_s <= 0:
        late = f"the command came {-life_left_s:.1f} s after the end of its life"
        return Reject(_entered(fresh, Event.TOO_LATE, Code.EXPIRED_BEFORE_START, late))
    return Accept(_entered(fresh, Event.ACCEPTED, None, ""))


def answer_query(known: Record | None, command_id: str) -> Bury | Repeat:
    """Return what to do with a `Query`."""
    if known is not None:
        return Repeat(known.report())
    return Bury(_entered(Record(command_id), Event.ASKED, None, ""))


def unsaved(record: Record, said: str) -> Record:
    """Return the refusal of a command that could not be journalled."""
    return _entered(record, Event.REFUSED, Code.JOURNAL_ERROR, said)


def _known_already(known: Record, make: Make) -> Report:
    if known.state is MakeState.NOT_SEEN:
        return Report(
            known.command_id,
            MakeState.REJECTED,
            code=Code.EXPIRED_BEFORE_START,
            said="this command was reported as never seen, so it is refused for good",
        )
    if known.payload_hash != payload_hash(make):
        # The state stays the first command's: to say `rejected` of a drink that is being made would be false.
        said = f"the same id came again with another drink ({make.drink_no} {make.size}), which is not made"
        return Report(
            known.command_id,
            known.state,
            code=Code.PROTOCOL_CONFLICT,
            actuated=known.actuated,
            evidence=known.evidence,
            said=said[:SAID_LIMIT],
        )
    return known.report()


def _entered(fresh: Record, event: Event, code: Code | None, said: str) -> Record:
    return replace(fresh, state=advance(None, event), code=code, said=said[:SAID_LIMIT])


# --- what happens at the machine ------------------------------------------------------------------


def started(record: Record, before: str) -> Record:
    """Return the record to journal before the first byte that could move the machine."""
    return replace(record.after(Event.STARTED), before=before)


def too_late(record: Record) -> Record:
    """Return the end of a command whose life ended while the machine was being checked."""
    return record.after(Event.TOO_LATE, Code.EXPIRED_BEFORE_START, "its life ended before the start")


def restarted(record: Record) -> Record:
    """Return the end of a command that was accepted and not begun when the agent stopped."""
    return record.after(Event.RESTARTED, Code.AGENT_RESTARTED, "the agent stopped before the start")


def unable(record: Record, code: Code, said: str) -> Record:
    """Return the end of a command that failed before anything could move."""
    return record.after(Event.REFUSED if code in NOT_TAKEN else Event.NOT_MADE, code, said)


def unreadable(outcome: Outcome) -> bool:
    """Say whether there is no proof only because the machine could not be read."""
    return outcome.state is MakeState.UNKNOWN and outcome.code in UNREADABLE


def perhaps_unread(record: Record) -> bool:
    """Say whether a make ended without proof perhaps only because its machine could not be read.

    A power cut's code stands in place of the driver's, so it may be that too.
    """
    return record.state is MakeState.UNKNOWN and record.code in UNREADABLE | {Code.POWER_LOSS}


def judged(record: Record, outcome: Outcome, cause: Code, said: str = "") -> Record:
    """Return the end that the evidence gives. `cause` and `said` tell what led to asking for it."""
    said = "; ".join(part for part in (said, outcome.said) if part)
    match outcome.state:
        case MakeState.DONE:
            return record.after(Event.MADE, None, said, Actuated.YES, outcome.evidence)
        case MakeState.FAILED:
            code = outcome.code or cause
            return record.after(Event.NOT_MADE, code, said, outcome.actuated, outcome.evidence)
        case MakeState.UNKNOWN:
            moved = Actuated.UNKNOWN if outcome.actuated is Actuated.NO else outcome.actuated
            code = cause if cause is Code.POWER_LOSS else outcome.code or cause
            return record.after(Event.NO_PROOF, code, said, moved, outcome.evidence)
    said = f"the driver gave {outcome.state} as an outcome; {said}"
    return record.after(Event.NO_PROOF, Code.INTERNAL_ERROR, said, Actuated.UNKNOWN)

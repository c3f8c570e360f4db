"""The life of a make command: every state with everything a device can say."""

import itertools

import pytest

from agent.wire import Actuated, Code, MakeState, Report
from server.make import FINAL, IN_FLIGHT, TRANSITIONS, State, Step, advance
from server.order import Event

PAIRS = list(itertools.product(State, MakeState))
SAYS = {
    MakeState.RECEIVED: Event.COMMAND_RECEIVED,
    MakeState.STARTED: Event.COMMAND_RECEIVED,
    MakeState.DONE: Event.MADE,
    MakeState.FAILED: Event.NOT_MADE,
    MakeState.UNKNOWN: Event.OUTCOME_UNKNOWN,
    MakeState.REJECTED: Event.NOT_MADE,
    MakeState.EXPIRED: Event.NOT_MADE,
    MakeState.NOT_SEEN: Event.COMMAND_LOST,
}
CHANGES = {
    "sent": "received started done failed unknown rejected expired not_seen",
    "received": "started done failed unknown rejected expired",
    "started": "done failed unknown",
    "overdue": "done failed unknown rejected expired not_seen",
    "unknown": "done failed",
    "failed": "done",
    "rejected": "done",
    "expired": "done",
}
"""State → what a device can still change it by. In any other state nothing does."""


def report(state: MakeState, **told: object) -> Report:
    return Report("make-1", state, seq=1, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(("state", "said"), PAIRS)
def test_a_report_changes_just_what_it_may(state: State, said: MakeState):
    step = advance(state, report(said))
    assert (step is not None) == (said in CHANGES.get(state, "").split())
    if step is not None:
        assert step.event is SAYS[said]


@pytest.mark.parametrize(("state", "said"), PAIRS)
def test_a_repeated_report_changes_nothing(state: State, said: MakeState):
    step = advance(state, report(said))
    if step is not None:
        assert advance(step.state, report(said)) is None


def test_every_state_has_a_row():
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize("state", sorted(FINAL))
def test_a_final_truth_stays_whatever_is_said_but_a_proved_drink(state: State):
    assert all(advance(state, report(said)) is None for said in MakeState if said is not MakeState.DONE)


@pytest.mark.parametrize("state", sorted(set(State) - {State.QUEUED, State.DONE}))
def test_a_proved_drink_counts_after_every_other_word(state: State):
    assert advance(state, report(MakeState.DONE), same_journal=False) == Step(State.DONE, Event.MADE)


def test_what_may_have_begun_is_never_declared_lost():
    assert advance(State.RECEIVED, report(MakeState.NOT_SEEN)) is None
    assert advance(State.STARTED, report(MakeState.NOT_SEEN)) is None


@pytest.mark.parametrize("state", [State.SENT, State.OVERDUE])
def test_not_seen_from_another_journal_proves_nothing(state: State):
    step = advance(state, report(MakeState.NOT_SEEN), same_journal=False)
    assert step == Step(State.UNKNOWN, Event.OUTCOME_UNKNOWN, Code.POWER_LOSS)


@pytest.mark.parametrize("state", sorted(IN_FLIGHT))
def test_a_failure_that_may_have_moved_something_is_unknown(state: State):
    said = report(MakeState.FAILED, code=Code.SERIAL_NO_ANSWER, actuated=Actuated.UNKNOWN)
    assert advance(state, said) == Step(State.UNKNOWN, Event.OUTCOME_UNKNOWN, Code.SERIAL_NO_ANSWER)


@pytest.mark.parametrize("code", Code)
def test_the_devices_reason_is_kept(code: Code):
    said = report(MakeState.FAILED, code=code)
    assert advance(State.STARTED, said) == Step(State.FAILED, Event.NOT_MADE, code)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (MakeState.FAILED, Code.MACHINE_ERROR),
        (MakeState.REJECTED, Code.AGENT_REJECTED_BUSY),
        (MakeState.EXPIRED, Code.EXPIRED_BEFORE_START),
        (MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT),
        (MakeState.NOT_SEEN, Code.AGENT_OFFLINE),
    ],
)
def test_an_end_without_a_reason_has_a_usual_one(said: MakeState, code: Code):
    step = advance(State.SENT, report(said))
    assert step is not None and step.code is code

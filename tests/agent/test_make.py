"""The table of a make's life, pair by pair, and every decision that is taken from it."""

import itertools

import msgspec
import pytest

from agent import make
from agent.machine import Outcome
from agent.make import TRANSITIONS, Accept, Bury, Event, Hindrance, IllegalStep, Record, Reject, Repeat
from agent.wire import Actuated, Code, Make, MakeState

S, E = MakeState, Event
ORDER = Make(1, "c1", "o1", "espresso", "small", ttl_ms=60_000, issued_at_ms=0)
RECEIVED = Record("c1", make.payload_hash(ORDER), "o1", "espresso", "small")
STARTED = make.started(RECEIVED, "41")
BUSY = Hindrance(Code.AGENT_REJECTED_BUSY, "busy with c0")

LIFE = {
    (None, E.ACCEPTED): S.RECEIVED,
    (None, E.REFUSED): S.REJECTED,
    (None, E.TOO_LATE): S.EXPIRED,
    (None, E.ASKED): S.NOT_SEEN,
    (S.RECEIVED, E.REFUSED): S.REJECTED,
    (S.RECEIVED, E.TOO_LATE): S.EXPIRED,
    (S.RECEIVED, E.RESTARTED): S.EXPIRED,
    (S.RECEIVED, E.NOT_MADE): S.FAILED,
    (S.RECEIVED, E.STARTED): S.STARTED,
    (S.STARTED, E.MADE): S.DONE,
    (S.STARTED, E.NOT_MADE): S.FAILED,
    (S.STARTED, E.NO_PROOF): S.UNKNOWN,
    (S.UNKNOWN, E.MADE): S.DONE,
    (S.UNKNOWN, E.NOT_MADE): S.FAILED,
}


@pytest.mark.parametrize(("state", "event"), [*itertools.product((None, *S), E)])
def test_every_event_in_every_state(state: MakeState | None, event: Event):
    if (state, event) in LIFE:
        assert make.advance(state, event) is LIFE[state, event]
    else:
        with pytest.raises(IllegalStep):
            make.advance(state, event)


def test_every_state_has_a_row():
    assert set(TRANSITIONS) == {None, *S}


def test_a_make_is_started_only_from_received():
    assert make.entered_from(S.STARTED) == {S.RECEIVED}


def test_nothing_that_has_ended_can_be_started_again():
    reachable = {S.DONE, S.FAILED, S.REJECTED, S.EXPIRED, S.NOT_SEEN, S.UNKNOWN}
    for _ in S:
        reachable |= {after for state in reachable for after in TRANSITIONS[state].values()}
    assert reachable.isdisjoint({S.RECEIVED, S.STARTED})


def test_the_hash_tells_drinks_apart_and_not_sessions_or_lives():
    def changed(**keys: object) -> str:
        return make.payload_hash(msgspec.structs.replace(ORDER, **keys))

    assert changed(epoch=9, ttl_ms=1, issued_at_ms=5, price_minor=7) == make.payload_hash(ORDER)
    others = [changed(order_id="o2"), changed(drink_no="latte"), changed(size="large")]
    assert len({make.payload_hash(ORDER), *others}) == 4


# --- a Make ---------------------------------------------------------------------------------------


def test_a_new_command_is_accepted():
    assert make.answer_make(None, ORDER, 60, None) == Accept(RECEIVED)


@pytest.mark.parametrize("left_s", [0, -3])
def test_a_command_whose_life_is_over_expires(left_s: float):
    answer = make.answer_make(None, ORDER, left_s, None)
    assert isinstance(answer, Reject)
    assert (answer.record.state, answer.record.code) == (S.EXPIRED, Code.EXPIRED_BEFORE_START)


def test_a_busy_agent_rejects_and_says_why():
    answer = make.answer_make(None, ORDER, 60, BUSY)
    assert isinstance(answer, Reject)
    report = answer.record.report()
    assert (report.state, report.code, report.said) == (S.REJECTED, Code.AGENT_REJECTED_BUSY, "busy with c0")
    assert report.actuated is Actuated.NO


@pytest.mark.parametrize("hindrance", [None, BUSY])
@pytest.mark.parametrize("left_s", [60, -3])
@pytest.mark.parametrize(
    "known", [RECEIVED, STARTED, make.judged(STARTED, Outcome(S.DONE), Code.MACHINE_ERROR)]
)
def test_a_repeat_gets_the_present_state_whatever_else_is_true(
    known: Record, left_s: float, hindrance: Hindrance | None
):
    assert make.answer_make(known, ORDER, left_s, hindrance) == Repeat(known.report())


def test_another_drink_under_a_known_id_is_not_made_and_the_first_is_not_denied():
    other = Make(1, "c1", "o1", "latte", "small", ttl_ms=60_000, issued_at_ms=0)
    answer = make.answer_make(STARTED, other, 60, None)
    assert isinstance(answer, Repeat)
    assert (answer.report.state, answer.report.code) == (S.STARTED, Code.PROTOCOL_CONFLICT)
    assert "latte" in answer.report.said


def test_a_buried_command_is_rejected_for_good():
    tomb = make.answer_query(None, "c1")
    answer = make.answer_make(tomb.record if isinstance(tomb, Bury) else None, ORDER, 60, None)
    assert isinstance(answer, Repeat)
    assert answer.report.state is S.REJECTED


@pytest.mark.parametrize(("ttl_ms", "life_s"), [(1500, 1.5), (0, 0), (-5, 0), (10**400, 3600)])
def test_a_life_is_believed_within_reason(ttl_ms: int, life_s: float):
    assert make.life_s(Make(1, "c", "o", "d", "s", ttl_ms, 0)) == life_s


# --- a Query --------------------------------------------------------------------------------------


def test_a_query_for_an_unknown_command_buries_it():
    answer = make.answer_query(None, "c1")
    assert isinstance(answer, Bury)
    assert answer.record.report().state is S.NOT_SEEN


def test_a_query_for_a_known_command_gets_its_state():
    assert make.answer_query(STARTED, "c1") == Repeat(STARTED.report())


# --- ends -----------------------------------------------------------------------------------------


def test_a_command_not_begun_before_a_restart_expires_untouched():
    report = make.restarted(RECEIVED).report()
    assert (report.state, report.code, report.actuated) == (S.EXPIRED, Code.AGENT_RESTARTED, Actuated.NO)


def test_a_started_command_cannot_expire():
    for step in (make.restarted, make.too_late):
        with pytest.raises(IllegalStep):
            step(STARTED)


@pytest.mark.parametrize("code", Code)
def test_a_machine_that_is_not_able_moved_nothing(code: Code):
    report = make.unable(RECEIVED, code, "it says so").report()
    refused = code in (Code.AGENT_REJECTED_BUSY, Code.DRINK_UNKNOWN)
    assert report.state is (S.REJECTED if refused else S.FAILED)
    assert (report.code, report.actuated, report.said) == (code, Actuated.NO, "it says so")


def test_a_proved_drink_is_done_whatever_led_to_the_question():
    outcome = Outcome(S.DONE, evidence="counter_delta", said="41 -> 42")
    report = make.judged(STARTED, outcome, Code.INTERNAL_ERROR, "the driver broke").report()
    assert (report.state, report.code, report.actuated) == (S.DONE, None, Actuated.YES)
    assert (report.evidence, report.said) == ("counter_delta", "the driver broke; 41 -> 42")


@pytest.mark.parametrize(("own", "reported"), [(Code.NO_WATER, Code.NO_WATER), (None, Code.MACHINE_ERROR)])
def test_a_proved_failure_has_the_machines_code_or_the_cause(own: Code | None, reported: Code):
    report = make.judged(STARTED, Outcome(S.FAILED, own, Actuated.PARTIAL), Code.MACHINE_ERROR).report()
    assert (report.state, report.code, report.actuated) == (S.FAILED, reported, Actuated.PARTIAL)


def test_without_proof_nothing_is_claimed():
    report = make.judged(STARTED, Outcome(S.UNKNOWN), Code.SERIAL_NO_ANSWER).report()
    expected = (S.UNKNOWN, Code.SERIAL_NO_ANSWER, Actuated.UNKNOWN)
    assert (report.state, report.code, report.actuated) == expected


def test_after_a_restart_no_proof_means_power_loss():
    outcome = Outcome(S.UNKNOWN, Code.SERIAL_NO_ANSWER)
    assert make.judged(STARTED, outcome, Code.POWER_LOSS).code is Code.POWER_LOSS


@pytest.mark.parametrize("state", [S.NOT_SEEN, S.RECEIVED, S.STARTED, S.REJECTED, S.EXPIRED])
def test_a_driver_that_talks_nonsense_proves_nothing(state: MakeState):
    report = make.judged(STARTED, Outcome(state), Code.MACHINE_ERROR).report()
    assert (report.state, report.code) == (S.UNKNOWN, Code.INTERNAL_ERROR)


def test_what_a_machine_said_is_cut_to_fit_a_frame():
    assert len(make.unable(RECEIVED, Code.MACHINE_ERROR, "x" * 100_000).said) == make.SAID_LIMIT

"""Whatever happens, in whatever order: money is kept for a drink, or goes back, or a person is asked.

Hypothesis chooses what customers, banks, machine, network and processes do next; the code is the server's.
`MONEY_EXAMPLES=n` tries more of it.
"""

import os
from collections import Counter as Tally
from contextlib import ExitStack
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.case_work import ACTIONS
from server.payments import Method
from tests.money.board import Outcome
from tests.money.counter import HOUR_S, PRICE_MINOR, Counter
from tests.money.truths import broken_at_last, broken_now, story
from tests.money.wires import Harm
from tests.simulation import complaints

T = TypeVar("T")

ORDERS = ("order-1", "order-2")
EXAMPLES = int(os.environ.get("MONEY_EXAMPLES", "40"))
STEPS = 24
SHRINK = [Phase.shrink] if os.environ.get("SHRINK") else []

WHICH = st.integers(0, 3)
CALLS = st.sampled_from([Harm.LOST, Harm.UNANSWERED, Harm.SILENT, Harm.BUSY, Harm.BAD_GATEWAY])
NOTIFICATIONS = st.sampled_from([Harm.LOST, Harm.UNANSWERED, Harm.TWICE, Harm.LATE])
PAUSES_S = st.sampled_from([1.0, 5.0, 65.0, 310.0, 16 * 60.0, HOUR_S, 66 * 60.0])


class Money(RuleBasedStateMachine):
    """What may happen at one counter."""

    scenario, holds = "Sandbox", False

    def __init__(self) -> None:
        super().__init__()
        self.counter = Counter(self.scenario, self.holds)
        self.by_hand: Tally[str] = Tally()
        self.heard = ExitStack()
        self.alarms = self.heard.enter_context(complaints.heard())
        self.counter.connect()

    # --- customers ----------------------------------------------------------------------------------

    @rule(order_id=st.sampled_from(ORDERS), method=st.sampled_from(Method))
    def somebody_wants_to_pay(self, order_id: str, method: Method) -> None:
        self.counter.scan(order_id)
        self.counter.press_pay(order_id, method)

    @precondition(lambda self: self.counter.bank_ids())
    @rule(which=WHICH, pays=st.sampled_from([True, True, True, False]))
    def a_customer_is_at_the_bank(self, which: int, pays: bool) -> None:
        (self.counter.pay if pays else self.counter.decline)(self.one_of(self.counter.bank_ids(), which))

    @rule(order_id=st.sampled_from(ORDERS), method=st.sampled_from(Method))
    def somebody_buys(self, order_id: str, method: Method) -> None:
        before = self.counter.bank_ids()
        self.somebody_wants_to_pay(order_id, method)
        for bank_id in self.counter.bank_ids()[len(before) :]:
            self.counter.pay(bank_id)
        self.counter.later(0)

    def one_of(self, found: list[T], which: int) -> T:
        return found[-1 - which % len(found)]

    @precondition(lambda self: self.counter.payments())
    @rule(which=WHICH)
    def a_customer_comes_back(self, which: int) -> None:
        self.counter.return_page(self.one_of(self.counter.payments(), which))

    @precondition(lambda self: self.counter.rows("SELECT 1 FROM orders WHERE status = 'manual_make'"))
    @rule(order_id=st.sampled_from(ORDERS), make_it=st.booleans())
    def a_late_customer_chooses(self, order_id: str, make_it: bool) -> None:
        self.counter.choose(order_id, make_it)

    # --- the machine ----------------------------------------------------------------------------------

    @precondition(lambda self: self.counter.board.open)
    @rule(outcome=st.sampled_from(Outcome), really=st.booleans())
    def a_drink_ends(self, outcome: Outcome, really: bool) -> None:
        self.counter.board.finish(self.counter.board.open[0], outcome, really)
        self.counter.later(0, 0.5)

    @precondition(lambda self: self.counter.board.unclear)
    @rule()
    def the_board_finds_out(self) -> None:
        self.counter.board.find_out()
        self.counter.later(0, 0.5)

    @precondition(lambda self: self.counter.board.channel is None)
    @rule()
    def the_board_is_connected(self) -> None:
        self.counter.connect()

    @precondition(lambda self: self.counter.board.channel is not None)
    @rule()
    def the_board_is_gone(self) -> None:
        self.counter.board.leave()
        self.counter.later(0, 0.2)

    # --- the bank -------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(["payment", "capture", "back", "question"]), harm=CALLS)
    def a_call_will_go_wrong(self, kind: str, harm: Harm) -> None:
        self.counter.wires.harms[kind].append(harm)

    @rule(harm=NOTIFICATIONS)
    def a_notification_will_go_wrong(self, harm: Harm) -> None:
        self.counter.wires.harms["notification"].append(harm)

    @precondition(lambda self: self.counter.bank_ids())
    @rule(which=WHICH, event=st.sampled_from(["payment.succeeded", "payment.canceled", "refund.succeeded"]))
    def somebody_forges_a_notification(self, which: int, event: str) -> None:
        self.counter.forge(event, self.one_of(["nobodys", *self.counter.bank_ids()], which))

    @precondition(lambda self: self.counter.bank_ids())
    @rule(which=WHICH, amount_minor=st.sampled_from([PRICE_MINOR, PRICE_MINOR, 1000]))
    def somebody_gives_money_back_by_hand(self, which: int, amount_minor: int) -> None:
        bank_id = self.one_of(self.counter.bank_ids(), which)
        self.by_hand[bank_id] += 1
        self.counter.give_back(bank_id, amount_minor)

    @rule()
    def refunds_begin_or_cease_to_fail_at_the_bank(self) -> None:
        self.counter.tbank.faults.refunds_fail = fail = not self.counter.tbank.faults.refunds_fail
        self.counter.yookassa.faults.refunds_canceled_because = "insufficient_funds" if fail else ""

    # --- the server -----------------------------------------------------------------------------------

    @rule()
    def the_server_dies(self) -> None:
        self.counter.die()
        self.counter.start()

    @rule(seconds=PAUSES_S)
    def time_passes(self, seconds: float) -> None:
        self.counter.later(seconds)

    @precondition(lambda self: self.counter.open_cases())
    @rule(which=WHICH, how=WHICH)
    def a_person_settles_a_case(self, which: int, how: int) -> None:
        case = self.one_of(self.counter.open_cases(), which)
        told = {"made": self.made(case.order_id), "not_made": not self.made(case.order_id)}
        honest = [action for action in ACTIONS[case.kind] if told.get(action, action != "make_again")]
        self.counter.decide(case, self.one_of(honest, how))

    def made(self, order_id: str | None) -> bool:
        return bool(order_id and self.counter.board.drinks[order_id])

    # --- what must be so ------------------------------------------------------------------------------

    @invariant()
    def nothing_is_broken(self) -> None:
        assert list(broken_now(self.counter, self.by_hand)) == []

    def teardown(self) -> None:
        try:
            self.counter.calm()
            broken = [*broken_now(self.counter, self.by_hand), *broken_at_last(self.counter), *self.alarms]
            assert broken == [], story(self.counter)
        finally:
            self.counter.close()
            self.heard.close()


COUNTERS = {
    "YooKassa takes at once": ("Sandbox", False),
    "YooKassa holds cards": ("Sandbox", True),
    "T-Bank takes at once": ("TBank", False),
    "T-Bank holds cards": ("TBank", True),
}


@pytest.mark.parametrize("counter", COUNTERS)
def test_money_is_kept_for_a_drink_or_goes_back_or_a_person_is_asked(counter: str):
    class Here(Money):
        scenario, holds = COUNTERS[counter]

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate, *SHRINK],
            suppress_health_check=list(HealthCheck),
        ),
    )

"""One machine's counter in virtual time: the real server, the real sandbox banks, and a board beside it.

Nothing is left out but sockets and waiting. The server may die and start again; banks, board and disk stay.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from server import keys, settlement
from server.case_work import ACTIONS, Decision, settle_case
from server.choice import choose
from server.db import Statement, Transaction
from server.db.sqlite import drive
from server.errors import DemitasseError, Refusal
from server.pages import webhooks
from server.pages.refusals import answer_refusals
from server.parts import Parts, for_ever
from server.payments import Credentials, Method, Provider
from server.payments.accounts import Accounts, bodies_of
from server.payments.tbank import Tbank
from server.payments.yookassa import Yookassa
from server.progress import Rules
from server.sale import Link, Sale
from server.sandbox import Sandbox
from server.sandbox.checks import Refused
from server.sandbox_tbank import PASSWORD, TERMINAL_KEY, TbankSandbox
from server.sandbox_tbank.refusals import Refused as RefusedByTbank
from server.settings import Settings
from server.settlement import Wish
from server.store import cases, orders, payments
from server.store.rows import Case, Payment
from server.till import Pace
from tests.fakes.inline_database import InlineDatabase, new_connection
from tests.money.board import Board, Outcome
from tests.money.wires import Wires
from tests.simulation import complaints
from tests.simulation.clockwork import Clockwork

T = TypeVar("T")

START_MS = 1_795_000_000_000
PRICE_MINOR = 9000
URL = "http://shop.test"
HOUR_S, DAY_S = 3600.0, 24 * 3600.0
PACE = Pace(fast_ms=2_000, slow_ms=60_000, fast_until_ms=300_000)
STEPS_TO_QUIET = 200
EVERYTHING_S = 60.0
"""Longer than any call of a bank is waited for."""


@contextmanager
def a_counter(scenario: str = "Sandbox", *, holds: bool = False) -> Iterator["Counter"]:
    """Open a counter for the block; what the server logs as a mistake of its own fails it."""
    with complaints.heard() as alarms:
        counter = Counter(scenario, holds)
        try:
            yield counter
        finally:
            counter.close()
    assert alarms == []


class Counter:
    """The counter of the machine `dev-1`, whose merchant sells by `scenario` and may hold cards' money."""

    def __init__(self, scenario: str, holds: bool) -> None:
        self.scenario = scenario
        self.loop = Clockwork()
        self.connection = new_connection()
        self.board = Board()
        self.wires = Wires(self._app_at)
        bank_books = InlineDatabase(self.connection)
        session: Any = self.wires
        self.yookassa = Sandbox(bank_books, session, URL, now_ms=self.now_ms)
        self.tbank = TbankSandbox(bank_books, session, URL, now_ms=self.now_ms)
        self._banks = web.Application()
        self._banks.add_routes([*self.yookassa.api.routes(), *self.tbank.api.routes()])
        self._banks.freeze()
        self._server: web.Application | None = None
        self._jumped_ms = 0
        self._ids = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.parts: Parts
        self._furnish(holds)
        self.do(self._open_banks())
        self.start()

    def now_ms(self) -> int:
        return START_MS + int(self.loop.time() * 1000) + self._jumped_ms

    # --- time ---------------------------------------------------------------------------------------

    def do(self, work: Awaitable[T]) -> T:
        """Run something to its end."""

        async def run() -> T:
            return await work

        return self.loop.run_until_complete(run())

    def later(self, seconds: float, then_s: float = 1.0) -> None:
        """Let time pass at once, and then for `then_s` as it really passes."""
        self._jumped_ms += int(seconds * 1000)
        for sleeper in (self.parts, self.yookassa, self.tbank):
            sleeper.wake()
        self.do(asyncio.sleep(then_s))

    def close(self) -> None:
        """End everything."""
        self.board.leave()
        self._end(list(asyncio.all_tasks(self.loop)))
        self.loop.close()
        self.connection.close()

    # --- the server's lives ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin a life of the server."""
        db, session = InlineDatabase(self.connection), self.wires
        rules = Rules(60_000, 180_000, 600_000, 300_000, int(DAY_S * 1000), self._new_id, bodies_of)
        client: Callable[[Credentials], Provider] = partial(
            Yookassa,
            session,
            base_url=f"{URL}/sandbox/v3",  # type: ignore[arg-type]
        )
        tbank: Callable[[Credentials], Provider] = partial(
            Tbank,
            session,
            base_url=f"{URL}/sandbox/tbank/v2",  # type: ignore[arg-type]
        )
        accounts = Accounts(db, client, client, tbank=tbank)
        self.parts = Parts(db, accounts, rules, PACE, URL, self.now_ms)
        self.sale = Sale(db, self.now_ms, order_life_ms=900_000, online_threshold_ms=30_000)
        app = web.Application(middlewares=[answer_refusals])
        app.add_routes(webhooks.routes())
        app[keys.SETTINGS], app[keys.ACCOUNTS] = Settings(), accounts
        app[keys.NOTIFICATIONS] = self.parts.notifications
        app.freeze()
        self.do(self._begin(app))

    def die(self) -> None:
        """Kill the server: whatever it was doing, it does no further."""
        self._server = None
        self._end(self._tasks)
        self._tasks = []
        self.board.leave()

    async def _begin(self, app: web.Application) -> None:
        await self.parts.presence.begin()
        self._server = app
        for run in self.parts.works:
            self.begin(for_ever(run))

    def begin(self, work: Any) -> None:
        """Let the server do something until it is done, or the server dead."""
        self._tasks.append(self.loop.create_task(work))

    def _end(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            self.loop.run_until_complete(asyncio.wait(tasks))

    async def _open_banks(self) -> None:
        for bank in (self.yookassa, self.tbank):
            self.loop.create_task(_run_bank(bank))

    def _app_at(self, path: str) -> web.Application | None:
        return self._banks if path.startswith("/sandbox/") else self._server

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}-{self._ids:04}"

    # --- what people do -------------------------------------------------------------------------------

    def scan(self, order_id: str) -> None:
        """Scan the code; without a machine that is online nothing is sold."""
        with suppress(Refusal):
            self.do(self.sale.order_of(Link("dev-1", "espresso", "small", order_id)))

    def press_pay(self, order_id: str, method: Method) -> None:
        """Press the button; its request goes on in the server until it is answered, or the server dies."""

        async def handle() -> None:
            with suppress(Refusal):
                order = await self.parts.db.read(orders.get, order_id)
                device = await self.sale.device("dev-1")
                if order is not None:
                    settlement.check_payable(order, self.now_ms())
                    await self.parts.checkout.begin_payment(device, order, Wish(method))

        self.begin(handle())
        self.do(asyncio.sleep(0.5))

    def return_page(self, payment: Payment) -> None:
        """The customer comes back from the bank, and his payment is asked for."""
        self.begin(self.parts.till.check(payment.payment_id, "return page"))

    def choose(self, order_id: str, make_it: bool) -> None:
        """Choose after a late payment."""
        with suppress(Refusal):
            change = self.do(self.parts.db.write(choose, self.parts.rules, order_id, make_it, self.now_ms()))
            self.parts.follow(change)

    def connect(self) -> None:
        """The board finds its server."""
        if self.board.channel is None:
            self.begin(self.parts.agents.converse(self.board.connect(), "dev-1"))
        self.do(asyncio.sleep(0.2))

    def decide(self, case: Case, action: str) -> None:
        """A person settles a case."""
        assert action in ACTIONS[case.kind]
        decision = Decision(case.case_id, action, "anna", "I have looked")
        with suppress(DemitasseError):
            change = self.do(self.parts.db.write(settle_case, self.parts.rules, decision, self.now_ms()))
            if change is not None:
                self.parts.follow(change)
        self.parts.wake()

    def at_bank(self, order_id: str = "order-1", method: Method = Method.CARD) -> str:
        """Scan and press the button; return the bank's id of the payment that waits there now."""
        self.connect()
        self.scan(order_id)
        self.press_pay(order_id, method)
        return self.bank_ids()[-1]

    def buy(self, order_id: str = "order-1", method: Method = Method.CARD) -> str:
        """Pay for a drink, and let the server hear of it; return the bank's id of the payment."""
        bank_id = self.at_bank(order_id, method)
        self.pay(bank_id)
        self.later(2.5)
        return bank_id

    def end(self, outcome: Outcome) -> None:
        """Let the drink that is being made end."""
        self.board.finish(self.board.open[0], outcome, really=False)
        self.later(0)

    # --- at the bank ----------------------------------------------------------------------------------

    def pay(self, bank_id: str) -> None:
        """The customer pays what the bank may still take."""
        with suppress(Refused, RefusedByTbank):
            self.do(self._bank.teller.pay(bank_id))

    def decline(self, bank_id: str) -> None:
        """The customer's bank says no."""
        with suppress(Refused, RefusedByTbank):
            self.do(self._bank.teller.decline(bank_id))

    def give_back(self, bank_id: str, amount_minor: int) -> None:
        """Somebody gives money back in the bank's cabinet; what is held is released."""
        with suppress(Refused, RefusedByTbank):
            if self.scenario == "TBank":
                self.do(self.tbank.teller.cancel({"PaymentId": bank_id, "Amount": amount_minor}))
            elif self.status_at_bank(bank_id) == "waiting_for_capture":
                self.do(self.yookassa.teller.cancel(bank_id, f"by-hand-{self._new_id('key')}", ""))
            else:
                self.do(self.yookassa.teller.manual_refund(bank_id, amount_minor))

    def status_at_bank(self, bank_id: str) -> str:
        """Return the bank's own word for a payment."""
        return next(row["status"] for row in self.rows(_AT_BANK) if row["payment_id"] == bank_id)

    def forge(self, event: str, bank_id: str) -> None:
        """Post a notification that is not the bank's; T-Bank's has a wrong token."""
        about: dict[str, Any] = {"type": "notification", "event": event, "object": {"id": bank_id}}
        about["object"]["payment_id"] = bank_id
        path = "/v1/yook-pay-webhook"
        if self.scenario == "TBank":
            about = {"TerminalKey": TERMINAL_KEY, "OrderId": "1", "PaymentId": 1, "Status": "CONFIRMED"}
            about |= {"Amount": PRICE_MINOR, "Token": "0"}
            path = "/v1/tbank-webhook"
        with suppress(aiohttp.ClientError):
            self.do(self._post(path, about))

    async def _post(self, path: str, told: dict[str, Any]) -> None:
        headers = {"Content-Type": "application/json"}
        async with self.wires.post(URL + path, data=json.dumps(told).encode(), headers=headers) as answer:
            await answer.read()

    @property
    def _bank(self) -> Sandbox | TbankSandbox:
        return self.tbank if self.scenario == "TBank" else self.yookassa

    # --- the end --------------------------------------------------------------------------------------

    def calm(self) -> None:
        """End all trouble, and let time pass until nothing more happens by itself."""
        self.wires.harms.clear()
        self.yookassa.faults.refunds_canceled_because, self.tbank.faults.refunds_fail = "", False
        self.connect()
        self.later(0, EVERYTHING_S)
        for step in range(STEPS_TO_QUIET):
            for command in self.board.open:
                self.board.finish(command, Outcome.NOT_MADE, really=False)
            self.connect()
            due = [row["at"] for row in self.rows(_NEXT) if row["at"] is not None]
            if not due:
                self.later(PACE.slow_ms / 1000 + 1)
                due = [row["at"] for row in self.rows(_NEXT) if row["at"] is not None]
            if not due:
                return
            patience_s = HOUR_S if step > STEPS_TO_QUIET / 2 else 0  # a refund may be pending for days
            self.later(max(patience_s, (min(due) - self.now_ms()) / 1000))
        raise AssertionError(f"it is never quiet: {self.rows(_NEXT)} at {self.now_ms()}")

    # --- what is so -----------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Return what the database says."""
        return [dict(row) for row in self.connection.execute(query, values)]

    def bank_ids(self) -> list[str]:
        """Return every payment at the bank, the oldest first: also those of which we were never told."""
        table = "sandbox_tbank_payments" if self.scenario == "TBank" else "sandbox_payments"
        return [row["payment_id"] for row in self.rows(f"SELECT payment_id FROM {table} ORDER BY rowid")]

    def order(self, order_id: str = "order-1") -> tuple[str, str | None]:
        """Return the order's status, and that of its refund."""
        (row,) = self.rows("SELECT status, refund_status FROM orders WHERE order_id = ?", order_id)
        return row["status"], row["refund_status"]

    def column(self, query: str, *values: Any) -> list[Any]:
        """Return the first column of what the database says."""
        return [next(iter(row.values())) for row in self.rows(query, *values)]

    def kinds(self) -> list[str]:
        """Return the kinds of the cases that are open."""
        return [case.kind for case in self.open_cases()]

    def open_cases(self) -> list[Case]:
        """Return what is in front of a person."""
        return drive(self.connection, cases.open_cases())

    def payments(self) -> list[Payment]:
        """Return our payments, the oldest first."""
        found: list[Payment] = []
        for row in self.rows("SELECT DISTINCT order_id FROM payments ORDER BY order_id"):
            found += drive(self.connection, payments.of_order(row["order_id"]))
        return found

    def _furnish(self, holds: bool) -> None:
        self.connection.execute("BEGIN")
        drive(self.connection, _furnishing(self.scenario, holds))
        self.connection.execute("COMMIT")


_NEXT = """
SELECT min(next_check_at) AS at FROM payments WHERE status = 'creating'
UNION ALL SELECT min(next_try_at) FROM captures
UNION ALL SELECT min(next_try_at) FROM refunds
WHERE refund_id NOT IN (SELECT subject FROM cases WHERE closed_at IS NULL)
UNION ALL SELECT min(next_try_at) FROM notifications
UNION ALL SELECT min(wake_at) FROM makes UNION ALL SELECT min(deadline_at) FROM orders
UNION ALL SELECT min(expires_at) FROM sandbox_payments UNION ALL SELECT min(settles_at) FROM sandbox_refunds
UNION ALL SELECT min(next_try_at) FROM sandbox_notifications
UNION ALL SELECT min(due_at) FROM sandbox_tbank_payments
UNION ALL SELECT min(next_try_at) FROM sandbox_tbank_notifications
"""
"""When anything is to be done next, but for looking whether somebody has paid, or money is still held."""

_AT_BANK = (
    "SELECT payment_id, status FROM sandbox_payments "
    "UNION ALL SELECT payment_id, status FROM sandbox_tbank_payments"
)


async def _run_bank(bank: Sandbox | TbankSandbox) -> None:
    async with bank.running():
        await asyncio.Event().wait()


def _furnishing(scenario: str, holds: bool) -> Transaction[None]:
    yield Statement(
        "INSERT INTO merchants (merchant_id, name, updated_at, holds_cards_since) VALUES ('m1', 'x', 0, $1)",
        (0 if holds else None,),
    )
    terminal = json.dumps({"terminal_key": TERMINAL_KEY, "password": PASSWORD})
    yield Statement(
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) VALUES ('m1', 'TBank', $1, 0)",
        (terminal,),
    )
    yield Statement(
        "INSERT INTO devices (device_uuid, merchant_id, location, payment_scenario, updated_at) "
        "VALUES ('dev-1', 'm1', 'here', $1, 0)",
        (scenario,),
    )
    yield Statement("INSERT INTO agents (device_uuid, token_hash) VALUES ('dev-1', 'x')")
    yield Statement(
        "INSERT INTO drinks (device_uuid, drink_no, name, prices, position, updated_at) "
        "VALUES ('dev-1', 'espresso', 'Espresso', $1, 0, 0)",
        (json.dumps({"small": PRICE_MINOR}),),
    )

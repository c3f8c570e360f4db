"""The parts of a running server and who tells whom: the one wiring, for the service and for the simulation.

It opens nothing and knows no settings: database, accounts and clock are handed in.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from server.agents import Agents
from server.announce import announce
from server.captures import Captures
from server.checkout import Checkout
from server.db import Database
from server.deadlines import Deadlines
from server.dispatch import Dispatch
from server.notifications import Notifications
from server.order import Effect
from server.payments.accounts import Accounts
from server.presence import Presence
from server.progress import Change, Rules
from server.receipts import Receipts
from server.refunds import Refunds
from server.till import Pace, Till

log = structlog.get_logger()

Run = Callable[[], Awaitable[None]]


@dataclass
class Parts:
    """Everything that carries orders on. Each of `works` runs beside the handlers until cancelled.

    Before them `presence` begins, after them it ends.
    """

    db: Database
    accounts: Accounts
    rules: Rules
    pace: Pace
    public_url: str
    now_ms: Callable[[], int]
    presence: Presence = field(init=False)
    agents: Agents = field(init=False)
    dispatch: Dispatch = field(init=False)
    till: Till = field(init=False)
    checkout: Checkout = field(init=False)
    refunds: Refunds = field(init=False)
    captures: Captures = field(init=False)
    receipts: Receipts = field(init=False)
    notifications: Notifications = field(init=False)
    deadlines: Deadlines = field(init=False)

    def __post_init__(self) -> None:
        db, accounts, now_ms = self.db, self.accounts, self.now_ms
        server_id = self.rules.new_id("server")
        self.agents = Agents(db, server_id, now_ms)
        self.rules = rules = replace(self.rules, session_of=self.agents.session)
        self.presence = Presence(db, server_id, now_ms, self.agents.close_all)
        self.dispatch = self.agents.listener = Dispatch(db, self.agents, rules, now_ms, self.follow)
        self.till = Till(db, accounts, rules, self.pace, now_ms, self.follow)
        self.checkout = Checkout(db, accounts, self.till, rules, self.public_url, now_ms)
        self.refunds = Refunds(db, accounts, self.till, rules, now_ms)
        self.captures = Captures(db, accounts, self.till, rules, now_ms)
        self.receipts = Receipts(db, accounts, rules, now_ms)
        self.notifications = Notifications(db, accounts, self.till, self.refunds, rules, now_ms)
        self.deadlines = Deadlines(db, rules, now_ms, self.follow, self.presence)

    @property
    def works(self) -> list[Run]:
        """What must run for ever, each by `for_ever`."""
        watchmen = self.presence.run, self.agents.watch, self.agents.listen, self.dispatch.watch
        return [*(part.run for part in self._workers), *watchmen]

    def wake(self) -> None:
        """Make every part look at once for what is due: the clock was moved."""
        for part in self._workers:
            part.wake()

    def follow(self, change: Change) -> None:
        """After a change is saved: tell of it, and wake who has to do what follows from it."""
        if change.claimed is not None:
            self.dispatch.send_claimed(change.claimed)
        announce(change)
        if change.claimed is None and Effect.SEND_MAKE in change.effects:
            self.dispatch.kick(change.after.device_uuid)
        if Effect.REFUND in change.effects:
            self.refunds.wake()
        if Effect.CAPTURE in change.effects:
            self.captures.wake()

    @property
    def _workers(self) -> tuple[Dispatch, Till, Refunds, Captures, Receipts, Notifications, Deadlines]:
        asking = self.till, self.refunds, self.captures, self.receipts
        return self.dispatch, *asking, self.notifications, self.deadlines


async def for_ever(run: Run) -> None:
    """Run a part until cancelled; what it did not foresee must not end the service."""
    while True:
        try:
            await run()
        except Exception as error:
            log.critical("a part of the server failed; it starts again", exc_info=error)
            await asyncio.sleep(1.0)

"""The people: customers who scan, pay, click twice and leave, and a technician who settles cases, late."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from server import case_work, choice
from server.case_work import ACTIONS, Decision
from server.errors import DemitasseError
from server.order import Status
from server.payments import Method
from server.sale import Link
from server.settlement import Wish
from server.store import cases, orders
from server.store.rows import Case, Order
from tests.simulation.bank import Bank
from tests.simulation.machine import Iron
from tests.simulation.plan import Plan
from tests.simulation.service import Entrance, Service, Unreachable

T = TypeVar("T")

PATIENCE = 5
"""How often a customer tries what does not work."""


class Customer:
    """Buys one drink, which only this customer orders: so what was poured can be told apart."""

    def __init__(self, number: int, device_uuid: str, plan: Plan, service: Entrance, bank: Bank) -> None:
        self.order_id = f"order-{number}"
        self.drink_no = f"drink-{number}"
        self.device_uuid = device_uuid
        self._plan = plan
        self._people = plan.people
        self._service = service
        self._bank = bank
        self._chance = random.Random(f"{plan.seed}/customer/{number}")

    async def buy(self) -> None:
        """From the first scan until the order needs nobody any more."""
        await asyncio.sleep(self._chance.uniform(0, self._plan.arrivals_s))
        if await self._try(self._scan) is None or self._happens(self._people.leave):
            return
        for _ in range(3):
            if not await self._pay_once():
                break
        await self._choose_if_asked()

    async def _pay_once(self) -> bool:
        """Pay, or not; return whether to try once more."""
        clicks = 2 if self._happens(self._people.click_twice) else 1
        if self._happens(self._people.change_method):
            await self._begin_with_sbp()
        urls = await asyncio.gather(*(self._try(self._initiate) for _ in range(clicks)))
        url = next((url for url in urls if url), None)
        if self._happens(self._people.scan_again):
            await self._try(self._scan)
        if url is None or self._happens(self._people.leave):
            return False
        payment_id = url.removeprefix("bank/")
        if self._happens(self._people.cancel):
            await asyncio.sleep(self._chance.uniform(1, 10))
            self._bank.cancel(self._bank.payments[payment_id])
            await asyncio.sleep(self._chance.uniform(1, 20))
            return True
        late = self._happens(self._people.pay_late)
        await asyncio.sleep(self._chance.uniform(20, 100) if late else self._chance.uniform(1, 10))
        return not self._bank.pay(payment_id)

    async def _begin_with_sbp(self) -> None:
        """Begin another payment first, which may be paid as well."""
        url = await self._try(partial(self._initiate, method=Method.SBP))
        await asyncio.sleep(self._chance.uniform(0.1, 5))
        if url is not None and self._chance.random() < 0.3:
            self._bank.pay(url.removeprefix("bank/"))

    async def _choose_if_asked(self) -> None:
        for _ in range(8):
            await asyncio.sleep(self._chance.uniform(4, 12))
            order = await self._try(self._look)
            if order is not None and order.status not in (
                Status.PENDING,
                Status.NOT_PAID,
                Status.MANUAL_MAKE,
            ):
                return
            if order is not None and order.status == Status.MANUAL_MAKE:
                if self._chance.random() < 0.2:
                    return
                make_it = self._chance.random() < 0.5
                await self._try(partial(self._choose, make_it=make_it))
                return

    # --- what the handlers of the pages do ----------------------------------------------------------

    async def _scan(self, service: Service) -> Order:
        return await service.sale.order_of(Link(self.device_uuid, self.drink_no, "small", self.order_id))

    async def _initiate(self, service: Service, method: Method = Method.CARD) -> str:
        order = await self._look(service)
        assert order is not None
        device = await service.sale.selling_device(order.device_uuid)
        return (await service.parts.checkout.begin_payment(device, order, Wish(method))).url

    async def _look(self, service: Service) -> Order | None:
        return await service.parts.db.read(orders.get, self.order_id)

    async def _choose(self, service: Service, make_it: bool) -> bool:
        change = await service.parts.db.write(
            choice.choose, service.rules, self.order_id, make_it, service.now_ms()
        )
        service.parts.follow(change)
        return True

    async def _try(self, handle: Callable[[Service], Awaitable[T]]) -> T | None:
        for _ in range(PATIENCE):
            try:
                return await self._service.request(handle)
            except (Unreachable, DemitasseError):
                await asyncio.sleep(self._chance.uniform(0.5, 6))
        return None

    def _happens(self, how_often: float) -> bool:
        return how_often > 0 and self._chance.random() < how_often


class Technician:
    """Settles open cases now and then. `erred` and `asked_again` keep what a person is answerable for."""

    def __init__(self, plan: Plan, service: Entrance, irons: list[Iron]) -> None:
        self._people = plan.people
        self._service = service
        self._irons = irons
        self._chance = random.Random(f"{plan.seed}/technician")
        self.erred: set[str] = set()
        self.asked_again: set[str] = set()
        self.settled = 0

    async def work(self, rounds: int) -> None:
        """Look at the cases so many times."""
        for _ in range(rounds):
            await asyncio.sleep(self._chance.uniform(10, 90))
            try:
                await self._service.request(self._settle_some)
            except (Unreachable, DemitasseError):
                continue

    async def _settle_some(self, service: Service) -> None:
        for case in await service.parts.db.read(cases.open_cases):
            if self._chance.random() < 0.6:
                try:
                    await self._settle(service, case)
                except DemitasseError:
                    continue

    async def _settle(self, service: Service, case: Case) -> None:
        action = self._chance.choice(ACTIONS[case.kind])
        if case.kind == "outcome_unknown":
            action = await self._judge(service, case)
        decision = Decision(case.case_id, action, "technician", "looked at the machine")
        change = await service.parts.db.write(
            case_work.settle_case, service.rules, decision, service.now_ms()
        )
        self.settled += 1
        if action == "make_again" and case.order_id:
            self.asked_again.add(case.order_id)
        if action == "returned_by_hand" and case.order_id:
            self.erred.add(case.order_id)  # the bank's books do not know of it
        if change is not None:
            service.parts.follow(change)

    async def _judge(self, service: Service, case: Case) -> str:
        """Return what a look at the machine, or none, says."""
        assert case.order_id is not None
        if self._chance.random() < self._people.mistakes:
            self.erred.add(case.order_id)
            return self._chance.choice(ACTIONS[case.kind])
        order = await service.parts.db.read(orders.get, case.order_id)
        assert order is not None
        if any(iron.busy for iron in self._irons):
            self.erred.add(case.order_id)  # decided before the cup was full
        made = any(brew.drink_no == order.drink_no for iron in self._irons for brew in iron.poured())
        if made:
            return "made"
        return "make_again" if self._chance.random() < 0.4 else "not_made"

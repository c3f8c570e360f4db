"""A customer in software: chooses a drink, pays at the sandbox bank, and watches the order over HTTP."""

import secrets
from typing import Any

import aiohttp

from tests.processes.site import Machine, Site, until

OVER_WITHIN_S = 100.0


class Purchase:
    """One order from its link to its end."""

    def __init__(self, session: aiohttp.ClientSession, site: Site, machine: Machine, drink: str) -> None:
        self.order_id = f"test-{secrets.token_hex(6)}"
        self.site = site
        self.machine = machine
        self.pay_at = ""
        self.seen: list[dict[str, Any]] = []
        self._session = session
        self._drink = drink

    @property
    def now(self) -> dict[str, Any]:
        """What the order's page showed last."""
        return self.seen[-1]

    @property
    def statuses(self) -> list[str]:
        """The statuses seen so far, each once in its turn."""
        return [state["status"] for state in self.seen]

    @property
    def doubts(self) -> set[str]:
        """The reasons seen for which nobody could tell whether the drink came out."""
        doubtful = (state for state in self.seen if state["status"] in ("paid", "make_pending"))
        return {state["failure"]["code"] for state in doubtful if state["failure"]}

    async def open(self) -> "Purchase":
        """Follow the machine's link, again and again until the machine is there to sell."""
        await until(self._opened, f"{self.machine.device_uuid} sells {self._drink}")
        await self.look()
        return self

    async def _opened(self) -> bool:
        return await self.follow_link() == 302

    async def follow_link(self) -> int:
        """Ask for the order as the machine's code does; return the HTTP status."""
        link = {"deviceUuid": self.machine.device_uuid, "drinkNo": self._drink, "drinkName": self._drink}
        parameters = {**link, "size": "0", "uuid": self.order_id}
        async with self._session.get(
            f"{self.site.url}/v1/pay", params=parameters, allow_redirects=False
        ) as answer:
            assert answer.status in (302, 503), answer.status
            return answer.status

    async def go_to_bank(self) -> "Purchase":
        """Start the payment."""
        async with self._session.post(
            f"{self.site.url}/v1/initiate-payment", json={"order_id": self.order_id}
        ) as answer:
            body = await answer.json()
            assert answer.status == 200, body
        self.pay_at = body["redirect_url"]
        return self

    async def pay(self, result: str = "succeeded") -> "Purchase":
        """Press the button at the bank."""
        async with self._session.post(self.pay_at, data={"result": result}, allow_redirects=False) as answer:
            assert answer.status == 303
        return self

    async def look(self) -> dict[str, Any]:
        """Ask for the order's status, and note it when it says something new."""
        async with self._session.get(f"{self.site.url}/v1/order-status/{self.order_id}") as answer:
            assert answer.status == 200
            state: dict[str, Any] = await answer.json()
        told = (state["status"], state["failure"], state["refund_status"])
        if not self.seen or told != (self.now["status"], self.now["failure"], self.now["refund_status"]):
            self.seen.append(state)
        return state

    async def becomes(self, status: str, within_s: float = OVER_WITHIN_S) -> "Purchase":
        """Wait until the order has this status."""
        return await self._until(lambda: self.now["status"] == status, f"becomes {status}", within_s)

    async def doubted(self) -> "Purchase":
        """Wait until the page says that nobody can tell yet whether the drink came out."""
        return await self._until(lambda: bool(self.doubts), "becomes doubtful", OVER_WITHIN_S)

    async def over(self) -> "Purchase":
        """Wait until nothing more can be expected: a drink, or the money back."""
        return await self._until(self._is_over, "is over", OVER_WITHIN_S)

    async def _until(self, true: Any, what: str, within_s: float) -> "Purchase":
        async def looked() -> bool:
            try:
                await self.look()
            except aiohttp.ClientError:  # the server is being started again
                return False
            return bool(true())

        await until(looked, f"the order {what}; it was {self.seen}", within_s)
        return self

    def _is_over(self) -> bool:
        if self.now["status"] == "make_failed":
            return self.now["refund_status"] in ("succeeded", "failed")
        return self.now["status"] in ("successful", "failed", "not_paid")

    # --- what must be true at the end ---------------------------------------------------------------

    def made(self, poured: int = 1) -> None:
        """The drink was made, once, and the money kept."""
        assert (self.now["status"], self.now["failure"], self.now["refund_status"]) == (
            "successful",
            None,
            None,
        )
        assert self.machine.poured == poured
        assert self.refunds == []

    def refunded(self, code: str, poured: int = 0) -> None:
        """The drink was not made, the page says why, and the money went back once."""
        assert (self.now["status"], self.now["refund_status"]) == ("make_failed", "succeeded")
        assert self.now["failure"]["code"] == code
        assert self.now["failure"]["text"]
        assert self.machine.poured == poured
        assert self.refunds == ["succeeded"]

    def one_drink_or_money(self) -> None:
        """However it ended, it is true: a drink and no refund, or no drink and one refund."""
        self.made() if self.now["status"] == "successful" else self.refunded(self.now["failure"]["code"])

    @property
    def refunds(self) -> list[str]:
        """The refunds in the bank's own books, by their status."""
        return self._in_the_books("sandbox_refunds")

    @property
    def payments(self) -> list[str]:
        """The payments in the bank's own books, by their status."""
        return self._in_the_books("sandbox_payments")

    def _in_the_books(self, table: str) -> list[str]:
        books = f"SELECT b.status FROM {table} b JOIN payments p ON p.provider_payment_id = b.payment_id"
        rows = self.site.rows(f"{books} WHERE p.order_id = ? ORDER BY b.created_at", self.order_id)
        return [row["status"] for row in rows]


class Customer:
    """Buys from the machines of a site, in an HTTP session made as `session` says.

    Use as an async context manager.
    """

    def __init__(self, site: Site, **session: Any) -> None:
        self._site = site
        self._how = session

    async def __aenter__(self) -> "Customer":
        self._session = aiohttp.ClientSession(**self._how)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def chooses(self, machine: Machine, drink: str = "espresso") -> Purchase:
        """Open an order as soon as the machine sells."""
        return await Purchase(self._session, self._site, machine, drink).open()

    async def at_bank(self, machine: Machine, drink: str = "espresso") -> Purchase:
        """Open an order and go to the bank's page."""
        return await (await self.chooses(machine, drink)).go_to_bank()

    async def pays(self, machine: Machine, drink: str = "espresso") -> Purchase:
        """Open an order and pay for it."""
        return await (await self.at_bank(machine, drink)).pay()

    async def buys(self, machine: Machine, drink: str = "espresso") -> Purchase:
        """Buy a drink and wait for its end."""
        return await (await self.pays(machine, drink)).over()

    async def is_turned_away(self, machine: Machine) -> bool:
        """Try to open an order; return whether the machine does not sell."""
        return await Purchase(self._session, self._site, machine, "espresso").follow_link() == 503

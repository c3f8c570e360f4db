"""The whole server on a real port with its sandbox bank, and customers, agents and time around it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from server import commands, keys, load
from server.app import make_app
from server.archive import Move
from server.archive_file import ArchiveFile
from server.db import Database, Row, Statement, Transaction
from server.metrics import REGISTRY
from server.settings import Settings
from server.shop_file import DeviceEntry, DrinkEntry, File, MerchantEntry, Prices
from server.tokens import token_hash
from server.vault import Vault
from tests.fakes.agent import ScriptedAgent
from tests.fakes.ports import free_port
from tests.server.clock import Clock

WAIT_S = 30.0
CONNECTIONS = 4
"""To PostgreSQL, where each new one costs more than what a test asks on it. Two of these write, and so meet.
`tests/server/db` tries more at a time."""

DRINK = DrinkEntry(drink_no="espresso", name="Эспрессо", prices=Prices(small=9000, medium=11050))
MERCHANT = MerchantEntry(id="m1", name="Кофе у дома")


def machine(device_uuid: str = "dev-1", **texts: Any) -> DeviceEntry:
    """Return a machine that sells espresso for sandbox money."""
    about = {"merchant": "m1", "location": "ул. Ленина, 1", "payment_scenario": "Sandbox", "drinks": [DRINK]}
    return DeviceEntry(device_uuid=device_uuid, **{**about, **texts})


def counted(name: str, **labels: str) -> float:
    """Return a counter's value."""
    return REGISTRY.get_sample_value(f"demitasse_{name}_total", labels) or 0.0


@dataclass
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Any
    text: str
    json: Any


@dataclass
class Shop:
    """One merchant with the machine `dev-1`; agents have the token "token of DEVICE". Time stands still."""

    settings: Settings
    clock: Clock
    session: aiohttp.ClientSession
    app: web.Application = field(init=False)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    # --- running ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the server."""
        self.app = await make_app(self.settings, now_ms=self.clock)
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=1.0)
        self._stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.TCPSite(runner, self.settings.host, self.settings.port).start()

    async def close(self) -> None:
        """Stop the server and every agent."""
        await self._stack.aclose()

    async def restart(self, **settings: Any) -> None:
        """Stop the server and start another one on the same database."""
        await self.close()
        self.settings = replace(self.settings, **settings)
        await self.open()

    @asynccontextmanager
    async def beside(self, **settings: Any) -> AsyncIterator["Shop"]:
        """Open another server over the same database, at an address of its own."""
        other = Shop(replace(self.settings, port=free_port(), **settings), self.clock, self.session)
        await other.open()
        try:
            yield other
        finally:
            await other.close()

    @property
    def db(self) -> Database:
        """The server's database."""
        return self.app[keys.DB]

    def later(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.go(seconds)
        self.app[keys.WAKE]()

    async def load(self, *devices: DeviceEntry, merchant: MerchantEntry = MERCHANT) -> None:
        """Load machines, as the command `load` does, and give each a token."""
        vault = Vault(self.settings.credentials_key)
        await self.db.write(load.load, File([merchant], list(devices)), self.clock(), vault)
        for device in devices:
            uuid = device.device_uuid
            await self.db.write(commands.give_token, uuid, token_hash(f"token of {uuid}"))

    # --- HTTP ---------------------------------------------------------------------------------------

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """Make a request without following redirects."""
        url = path if path.startswith("http") else self.settings.public_url + path
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            text = await response.text()
            json = await response.json() if response.content_type == "application/json" else None
            return Answer(response.status, response.headers, text, json)

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.call("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        return await self.call("POST", path, **options)

    # --- customers ----------------------------------------------------------------------------------

    async def scan(self, order_id: str = "order-1", path: str = "/v1/pay", **other: Any) -> Answer:
        """Open the link of a code. `None` leaves a parameter out."""
        link = {"deviceUuid": "dev-1", "drinkNo": "espresso", "drinkName": "Эспрессо", "size": "0"}
        link |= {"uuid": order_id, **other}
        return await self.get(f"{path}?{urlencode({k: v for k, v in link.items() if v is not None})}")

    async def initiate(self, order_id: str = "order-1") -> Answer:
        """Press the button that leads to the payment."""
        return await self.post("/v1/initiate-payment", json={"order_id": order_id})

    async def at_bank(self, order_id: str = "order-1", **link: Any) -> str:
        """Scan and press the button; return the bank's page."""
        assert (await self.scan(order_id, **link)).status == 302
        started = await self.initiate(order_id)
        assert started.status == 200, started.text
        return str(started.json["redirect_url"])

    async def finish(self, page: str, result: str = "succeeded") -> None:
        """Press a button of the bank's page."""
        assert (await self.post(page, data={"result": result})).status == 303

    async def pay(self, order_id: str = "order-1", **link: Any) -> str:
        """Buy a drink and wait until the server knows of the money; return the bank's page."""
        page = await self.at_bank(order_id, **link)
        await self.finish(page)
        await self.until(order_id, lambda order: order["status"] != "pending")
        return page

    async def state(self, order_id: str = "order-1") -> dict[str, Any]:
        """Return the order's status JSON."""
        answer = await self.get(f"/v1/order-status/{order_id}")
        assert answer.status == 200, answer.text
        state: dict[str, Any] = answer.json
        return state

    async def choose(self, choice: str, order_id: str = "order-1") -> Answer:
        """Choose after a late payment: `make` or `refund`."""
        return await self.post("/v1/manual-make", json={"order_id": order_id, "choice": choice})

    # --- waiting ------------------------------------------------------------------------------------

    async def until(self, order_id: str, true: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until the order's status JSON is as wished and return it."""
        state: dict[str, Any] = {}

        async def as_wished() -> object:
            state.update(await self.state(order_id))
            return true(state)

        await until(as_wished, lambda: f"{order_id} is {state}")
        return state

    async def becomes(
        self, status: str, order_id: str = "order-1", refund: str | None = None
    ) -> dict[str, Any]:
        """Wait until the order has this status, and this state of its refund."""
        wanted = (status, refund)
        return await self.until(order_id, lambda now: (now["status"], now["refund_status"]) == wanted)

    async def refunded(self, order_id: str = "order-1") -> dict[str, Any]:
        """Wait for the refund to be asked for, let the bank's time pass, and wait for its end."""
        await self.until_rows("SELECT 1 FROM sandbox_refunds")
        self.later(2.5)
        return await self.until(order_id, lambda order: order["refund_status"] == "succeeded")

    async def refunds_become(self, *statuses: str | None) -> None:
        """Let time pass until each payment, in turn, has its refund as wished; None: no refund."""
        sql = (
            "SELECT refunds.status FROM payments LEFT JOIN refunds USING (payment_id) "
            "ORDER BY attempt_no, refunds.created_at"
        )
        found: list[str | None] = []

        async def as_wished() -> bool:
            self.later(0.5)
            found[:] = await self.column(sql)
            return found == list(statuses)

        await until(as_wished, lambda: f"refunds are {found}")

    async def until_rows(self, sql: str, *values: Any) -> list[Row]:
        """Wait until a query has rows and return them."""
        found: list[Row] = []

        async def some() -> object:
            found[:] = await self.rows(sql, *values)
            return found

        await until(some, lambda: f"no rows of {sql}")
        return found

    # --- behind the counter -------------------------------------------------------------------------

    async def rows(self, sql: str, *values: Any) -> list[Row]:
        """Return the rows of a query."""
        return await self.db.read(_query, sql, values)

    async def row(self, table: str) -> dict[str, Any]:
        """Return the only row of a table."""
        (found,) = await self.rows(f"SELECT * FROM {table}")
        return dict(found)

    async def column(self, sql: str, *values: Any) -> list[Any]:
        """Return the first column of a query."""
        return [next(iter(dict(row).values())) for row in await self.rows(sql, *values)]

    async def change(self, sql: str, *values: Any) -> None:
        """Change the database behind the server's back."""
        await self.db.write(_query, sql, values)

    async def change_at_bank(self, changes: Mapping[str, Any], payment_id: str | None = None) -> None:
        """Change the sandbox's payment, or all of them: each dotted name to its value, None: it has none."""
        for row in await self.rows("SELECT payment_id, body FROM sandbox_payments"):
            if payment_id in (None, row["payment_id"]):
                payment = changed(json.loads(row["body"]), changes)
                await self.change(
                    "UPDATE sandbox_payments SET status = $1, body = $2 WHERE payment_id = $3",
                    *(payment["status"], json.dumps(payment), row["payment_id"]),
                )

    async def open_cases(self) -> list[str]:
        """Return the kinds of the cases in front of a person."""
        return await self.column("SELECT kind FROM cases WHERE closed_at IS NULL ORDER BY opened_at, kind")

    async def archive(self, path: Path) -> None:
        """Move what is finished into an archive file, as the command `archive` does."""
        now, file = self.clock(), ArchiveFile(path, self.clock() + 1, self.clock())
        try:
            await Move(self.db, file, now + 1, now, lambda told: None).run()
        finally:
            file.close()

    # --- agents -------------------------------------------------------------------------------------

    async def stranger(self, token: str = "token of dev-1") -> ScriptedAgent:
        """Return an agent's socket before its hello."""
        url = f"{self.settings.public_url}/v1/agent"
        return await self._stack.enter_async_context(ScriptedAgent(self.session, url, token))

    async def agent(self, device_uuid: str = "dev-1", **hello: Any) -> ScriptedAgent:
        """Return a connected agent, welcomed."""
        agent = await self.stranger(f"token of {device_uuid}")
        await agent.meet(**hello)
        return agent

    async def gone(self, agent: ScriptedAgent, device_uuid: str = "dev-1") -> None:
        """End an agent's session and wait until the server knows."""
        await agent.leave()
        await self.until_rows(
            "SELECT 1 FROM agents WHERE device_uuid = $1 AND connected_at IS NULL", device_uuid
        )


def changed(payment: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payment with each dotted name set to its value, or left out where that is None."""
    for path, value in changes.items():
        *outer, name = path.split(".")
        inner = payment
        for key in outer:
            inner = inner[key]
        if value is None:
            inner.pop(name, None)
        else:
            inner[name] = value
    return payment


async def until(true: Callable[[], Awaitable[object]], told: Callable[[], str] = str) -> None:
    """Wait until `true()` is; `told()` explains a failure."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not await true():  # noqa: ASYNC110 - the truth is on the other side of HTTP
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited {WAIT_S} s in vain: {told()}") from None


def _query(sql: str, values: tuple[Any, ...]) -> Transaction[list[Row]]:
    return list((yield Statement(sql, values)))


@asynccontextmanager
async def a_shop(folder: Path, **settings: Any) -> AsyncIterator[Shop]:
    """Open a shop over the database file in `folder`."""
    chosen = {"database_url": f"sqlite:///{folder / 'shop.db'}", "port": free_port(), "sandbox": True}
    chosen |= {"database_connections": CONNECTIONS}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        shop = Shop(Settings(**{**chosen, **settings}), Clock(), session)
        await shop.open()
        try:
            await shop.load(machine())
            yield shop
        finally:
            await shop.close()

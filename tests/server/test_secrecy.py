"""A canary for a secret: it goes to the provider, and to no log, page, error, metric or file.

In real processes, since only these write their logs as they are written for operators.
"""

import asyncio
import base64
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.fernet import Fernet

from tests.fakes.agent import ScriptedAgent
from tests.fakes.ports import free_port

ROOT = Path(__file__).parents[2]
CANARY = "live_Canary-SecretThatNobodyMaySee"
KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()
SECRETS = (CANARY, base64.b64encode(f"100500:{CANARY}".encode()).decode(), KEY, OTHER)

SHOP = f"""
[[merchants]]
id = "m1"
name = "Кофе у дома"
[merchants.credentials.Yookassa]
account_id = "100500"
secret_key = "{CANARY}"
[[devices]]
device_uuid = "dev-1"
merchant = "m1"
location = "ул. Ленина, 1"
payment_scenario = "Yookassa"
[[devices.drinks]]
drink_no = "espresso"
name = "Эспрессо"
prices = {{ small = 9000 }}
"""
LINK = "/v1/pay?deviceUuid=dev-1&drinkNo=espresso&drinkName=x&size=0&uuid=order-1"

WITH_A_BUG = """
import sys
from server.payments import yookassa

async def read_answer(response):
    raise RuntimeError("a bug in the provider's client")

yookassa.read_whole  # it is there: what follows replaces it, and does not just add a name
yookassa.read_whole = read_answer
from server.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


class Bank:
    """A provider that answers as it is told and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer: Callable[[], web.Response] = lambda: web.json_response({})
        self.authorizations: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer any request."""
        self.authorizations.add(request.headers["Authorization"])
        return self.answer()


class Site:
    """A server's processes on one database, and everything that they have shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bank = Bank()
        self.shown = ""
        self.url = ""
        self._port, self._bank_port = free_port(), free_port()

    def environment(self, **settings: str) -> dict[str, str]:
        """Return what the processes are told."""
        return os.environ | {
            "DATABASE_URL": f"sqlite:///{self.folder / 'shop.db'}",
            "PORT": str(self._port),
            "LOG_LEVEL": "DEBUG",
            "YOOKASSA_API_URL": f"http://127.0.0.1:{self._bank_port}/v3/",
            "CREDENTIALS_KEY": KEY,
            **settings,
        }

    async def run(self, *arguments: str, **settings: str) -> tuple[int | None, str]:
        """Run a command to its end; return its exit code and all that it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server", *arguments),
            env=self.environment(**settings),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
        self.shown += said
        return process.returncode, said

    async def load(self, content: str, **settings: str) -> tuple[int | None, str]:
        """Load a file."""
        file = self.folder / "shop.toml"
        file.write_text(content, encoding="utf-8")
        try:
            return await self.run("load", str(file), **settings)
        finally:
            file.unlink()

    @asynccontextmanager
    async def bank_open(self) -> AsyncIterator[None]:
        """Let the provider answer."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.bank.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._bank_port).start()
            yield
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def serving(self, *program: str) -> AsyncIterator["Customer"]:
        """Run the server, and a customer and an agent beside it."""
        with (self.folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *program, "serve"), env=self.environment(), cwd=ROOT, stderr=log
            )
        try:
            async with aiohttp.ClientSession() as session:
                customer = Customer(self, f"http://127.0.0.1:{self._port}", session)
                await until(customer.is_served, self.log)
                yield customer
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 60)
            self.shown += self.log()

    def log(self) -> str:
        """Return what the server has logged."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def kept(self) -> str:
        """Return the database's bytes as text."""
        return "".join(path.read_bytes().decode("latin-1") for path in self.folder.glob("shop.db*"))


class Customer:
    """Asks for pages and keeps them."""

    def __init__(self, site: Site, url: str, session: aiohttp.ClientSession) -> None:
        self.site, self.url, self.session = site, url, session

    async def ask(self, method: str, path: str, **options: Any) -> int:
        """Make a request; return its status."""
        async with self.session.request(method, self.url + path, **options) as answer:
            self.site.shown += f"{path} {dict(answer.headers)} {await answer.text()}\n"
            return answer.status

    async def is_served(self) -> bool:
        """Return whether the server answers."""
        try:
            return await self.ask("GET", "/ready") == 200
        except aiohttp.ClientConnectionError:
            return False

    async def order(self) -> None:
        """Choose a drink."""
        assert await self.ask("GET", LINK) == 200

    async def start_payment(self) -> int:
        """Press the button of the order's page."""
        return await self.ask("POST", "/v1/initiate-payment", json={"order_id": "order-1"})

    async def notify(self) -> int:
        """Send a notification of a payment that nobody knows: every account is asked about it."""
        payment = {"id": "22e12f66-000f-5000-8000-18db351245c7", "status": "succeeded"}
        body = {"type": "notification", "event": "payment.succeeded", "object": payment}
        return await self.ask("POST", "/v1/yook-pay-webhook", json=body)

    async def look_around(self) -> None:
        """Open everything that shows something."""
        for path in (
            "/metrics",
            "/health",
            "/m/dev-1",
            "/m/nobody",
            "/tech/",
            "/v1/devices",
            "/v1/pay",
            LINK,
        ):
            await self.ask("GET", path)
        await self.ask("GET", "/v1/order-status/order-1")


async def until(true: Callable[[], Awaitable[bool]], told: Callable[[], str]) -> None:
    """Wait until it is true."""
    try:
        async with asyncio.timeout(60):
            while not await true():  # noqa: ASYNC110 - the truth is in another process
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited in vain: {told()}") from None


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site whose merchant was loaded, once for all tests."""
    site = Site(tmp_path_factory.mktemp("loaded"))
    assert asyncio.run(site.load(SHOP))[0] == 0
    return site


@pytest.fixture
def site(loaded: Site, tmp_path: Path) -> Site:
    """A site of the test's own on a copy of that database; what was shown there counts."""
    site = Site(tmp_path)
    for path in loaded.folder.glob("shop.db*"):
        shutil.copy(path, tmp_path)
    site.shown = loaded.shown
    return site


def assert_secret(site: Site) -> None:
    """Nothing that was shown or kept holds a secret, whole or in part."""
    assert site.shown
    for secret in SECRETS:
        for part in (secret, secret[:20], secret[-20:]):
            assert part not in site.shown
            assert part not in site.kept()


@asynccontextmanager
async def at_the_button(site: Site, *program: str) -> AsyncIterator[Customer]:
    """A customer who has chosen a drink of a machine that is online."""
    _, token = await site.run("device", "token", "dev-1")
    async with (
        site.bank_open(),
        site.serving(*program) as customer,
        ScriptedAgent(customer.session, f"{customer.url}/v1/agent", token.strip()) as agent,
    ):
        await agent.meet()
        await customer.order()
        yield customer


ANSWERS = {
    "refused": lambda: web.json_response({"type": "error", "code": "invalid_credentials"}, status=401),
    "no JSON": lambda: web.Response(text="<html>"),
    "moved": lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
    "later": lambda: web.Response(status=429),
    "broken": lambda: web.Response(status=500),
}


async def test_no_answer_of_the_provider_shows_the_secret(site: Site):
    async with at_the_button(site, "-m", "server") as customer:
        for answer in ANSWERS.values():
            site.bank.answer = answer
            await customer.start_payment()
        assert await customer.notify() == 200
        await customer.look_around()
    assert site.bank.authorizations == {f"Basic {SECRETS[1]}"}
    assert "provider called" in site.shown
    assert_secret(site)


async def test_a_bug_in_the_providers_client_shows_its_traceback_and_no_secret(site: Site):
    async def failed_in_the_background() -> bool:
        return site.log().count("a bug in the provider's client") >= 2

    async with at_the_button(site, "-c", WITH_A_BUG) as customer:
        assert await customer.start_payment() == 500
        assert await customer.notify() == 200
        await until(failed_in_the_background, site.log)
        await customer.look_around()
    assert site.bank.authorizations == {f"Basic {SECRETS[1]}"}
    assert "Traceback" in site.shown and "in read_answer" in site.shown
    assert_secret(site)


@pytest.mark.parametrize("key", ["", OTHER], ids=["no key", "another key"])
async def test_the_start_without_the_key_says_so_in_one_line(site: Site, key: str):
    code, said = await site.run("serve", CREDENTIALS_KEY=key)
    assert code == 2
    assert re.fullmatch(r"CREDENTIALS_KEY .* merchant m1 for Yookassa .*\n", said)
    assert_secret(site)


async def test_a_wrong_key_is_not_shown(site: Site):
    for arguments in ((), ("--credentials-key-file", OTHER)):
        code, said = await site.run("serve", *arguments, CREDENTIALS_KEY=KEY[:15] if not arguments else "")
        assert (code, len(said.splitlines())) == (2, 1)
        assert said.startswith("CREDENTIALS_KEY") and KEY[:15] not in said
    assert_secret(site)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f'"{CANARY}"', f'"{CANARY}'),
        (f'"{CANARY}"', f'["{CANARY}"]'),
        (f'"{CANARY}"', CANARY),
        (".Yookassa]", ".Nobody]"),
        (".Yookassa]", "]"),
        ("secret_key", "secret"),
        ('account_id = "100500"', f'account_id = "1"\naccount_id = "{CANARY}"'),
        ("[[devices]]", "[[device]]"),
        ('merchant = "m1"', 'merchant = "m9"'),
    ],
)
async def test_a_wrong_file_is_refused_without_its_secret(site: Site, old: str, new: str):
    assert old in SHOP
    code, said = await site.load(SHOP.replace(old, new, 1))
    assert (code, len(said.splitlines())) == (2, 1)
    assert_secret(site)


async def test_what_is_loaded_is_told_without_its_secret(site: Site):
    code, said = await site.load(SHOP.replace("100500", "100501"))
    told = {"updated": "credentials", "merchant_id": "m1", "scenario": "Yookassa", "fields": ["body"]}
    assert (code, json.loads(said)) == (0, told)
    assert "100501" not in site.kept()
    assert (await site.load(SHOP, CREDENTIALS_KEY=""))[0] == 2
    assert_secret(site)

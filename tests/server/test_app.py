"""The server put together: what it refuses to start with, and how it stops."""

import asyncio
import re
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from server import keys
from server.app import make_app
from server.errors import SettingError
from server.settings import Settings
from server.shop_file import MerchantEntry
from server.vault import PREFIX, Vault
from tests.fakes.shop import WAIT_S, Shop, machine, until

LIVE = {
    "Yookassa": {"account_id": "100500", "secret_key": "live_secret"},
    "TBank": {"terminal_key": "1700000000000", "password": "secret"},
}

TEST_SHOP = {"account_id": "100500", "secret_key": "test_secret"}
KEY, OTHER = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def settings(folder: Path, **more: object) -> Settings:
    return Settings(database_url=f"sqlite:///{folder / 'shop.db'}", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", LIVE)
async def test_the_sandbox_is_refused_beside_live_money(shop: Shop, scenario: str):
    await shop.restart(credentials_key=KEY)
    merchant = MerchantEntry(id="m2", name="x", credentials={scenario: LIVE[scenario]})
    await shop.load(merchant=merchant)
    with pytest.raises(SettingError, match=f"SANDBOX must be off: merchant m2 .* {scenario}"):
        await make_app(shop.settings)


async def test_the_sandbox_stands_beside_a_test_shop(shop: Shop):
    await shop.load(merchant=MerchantEntry(id="m2", name="x", credentials={"Yookassa": TEST_SHOP}))
    await shop.restart()
    assert (await shop.get("/ready")).status == 200


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_credentials_of_before_are_sealed_at_the_start_and_leave_no_trace(shop: Shop, logs: list):
    await shop.load(merchant=MerchantEntry(id="m2", name="x", credentials={"Yookassa": TEST_SHOP}))
    file = Path(shop.settings.database_url.removeprefix("sqlite:///"))
    assert b"test_secret" in everything_in(file)
    await shop.restart(credentials_key=KEY)
    assert {"event": "credentials sealed", "number": 1, "log_level": "info"} in logs
    assert b"test_secret" not in everything_in(file)
    (kept,) = await shop.column("SELECT body FROM credentials")
    assert kept.startswith(PREFIX) and "test_secret" in Vault(KEY).open(kept)
    await shop.restart()
    assert await shop.column("SELECT body FROM credentials") == [kept]
    assert [record["event"] for record in logs].count("credentials sealed") == 1


def everything_in(file: Path) -> bytes:
    """Return the database's bytes, those of its log among them."""
    return b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))


@pytest.mark.parametrize("key", ["", OTHER], ids=["no key", "another key"])
async def test_a_start_without_the_key_of_a_merchants_credentials_is_refused(shop: Shop, key: str):
    await shop.restart(credentials_key=KEY)
    await shop.load(merchant=MerchantEntry(id="m2", name="x", credentials={"Yookassa": TEST_SHOP}))
    await shop.close()
    with pytest.raises(SettingError, match=r"^CREDENTIALS_KEY .* merchant m2 for Yookassa .*$"):
        await make_app(Settings(database_url=shop.settings.database_url, credentials_key=key))


@pytest.mark.parametrize(("secret", "warned"), [("live_secret", 1), ("test_secret", 0)])
async def test_live_credentials_in_clear_are_warned_of(shop: Shop, logs: list, secret: str, warned: int):
    fields = f'{{"account_id": "1", "secret_key": "{secret}"}}'
    await shop.change(
        "INSERT INTO credentials (merchant_id, scenario, body, updated_at) VALUES ('m1', 'Yookassa', $1, 0)",
        fields,
    )
    await shop.restart(sandbox=False)
    warnings = [record["event"] for record in logs if record["log_level"] == "warning"]
    assert len([event for event in warnings if re.search("in clear.*CREDENTIALS_KEY", event)]) == warned


async def test_without_the_sandbox_its_paths_are_not_there(shop: Shop):
    await shop.restart(sandbox=False)
    assert (await shop.get("/sandbox/v3/payments")).status == 404
    await shop.agent()
    await shop.scan()
    assert (await shop.initiate()).status == 503


async def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path):
    (tmp_path / "shop.db").write_bytes(b"no database" * 100)
    with pytest.raises(SettingError):
        await make_app(settings(tmp_path))


async def test_agents_are_parted_from_when_the_server_stops(shop: Shop):
    agent = await shop.agent()
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(shop.close(), agent.closed.wait())


async def test_a_part_that_fails_starts_again(shop: Shop, logs: list, monkeypatch: pytest.MonkeyPatch):
    await shop.agent()
    page = await shop.at_bank()

    async def fail() -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(shop.app[keys.DISPATCH]._work, "_find", fail)
    shop.later(0)

    async def failed() -> bool:
        return any(record["log_level"] == "critical" for record in logs)

    await until(failed)
    monkeypatch.undo()
    await shop.finish(page)
    await shop.becomes("paid")
    await shop.until_rows("SELECT 1 FROM makes WHERE state = 'sent'")


async def test_machines_of_two_merchants_sell_side_by_side(shop: Shop):
    other = MerchantEntry(id="m2", name="Второй")
    await shop.load(machine("dev-2", merchant="m2"), merchant=other)
    agents = [await shop.agent(uuid) for uuid in ("dev-1", "dev-2")]
    for agent, uuid in zip(agents, ("dev-1", "dev-2"), strict=True):
        await shop.pay(f"order-{uuid}", deviceUuid=uuid)
        await shop.until_rows("SELECT 1 FROM makes WHERE order_id = $1 AND state = 'sent'", f"order-{uuid}")
        assert agent is not None
    assert await shop.column("SELECT merchant_id FROM payments ORDER BY merchant_id") == ["m1", "m2"]

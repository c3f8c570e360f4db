"""The server put together: what it refuses to start with, and how it stops."""

import asyncio
from pathlib import Path

import pytest

from server import keys, load
from server.app import make_app
from server.errors import SettingError
from server.settings import Settings
from tests.fakes.shop import Shop, machine, until

LIVE = {
    "Yookassa": {"account_id": "100500", "secret_key": "live_secret"},
    "TBank": {"terminal_key": "1700000000000", "password": "secret"},
}


def settings(folder: Path, **more: object) -> Settings:
    return Settings(database_url=f"sqlite:///{folder / 'shop.db'}", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", LIVE)
async def test_the_sandbox_is_refused_beside_live_money(shop: Shop, scenario: str):
    merchant = load.MerchantEntry(id="m2", name="x", credentials={scenario: LIVE[scenario]})
    await shop.load(merchant=merchant)
    with pytest.raises(SettingError, match=f"SANDBOX must be off: merchant m2 .* {scenario}"):
        await make_app(shop.settings)


async def test_the_sandbox_stands_beside_a_test_shop(shop: Shop):
    fields = {"account_id": "100500", "secret_key": "test_secret"}
    await shop.load(merchant=load.MerchantEntry(id="m2", name="x", credentials={"Yookassa": fields}))
    await shop.restart()
    assert (await shop.get("/ready")).status == 200


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
    async with asyncio.timeout(5):
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
    other = load.MerchantEntry(id="m2", name="Второй")
    await shop.load(machine("dev-2", merchant="m2"), merchant=other)
    agents = [await shop.agent(uuid) for uuid in ("dev-1", "dev-2")]
    for agent, uuid in zip(agents, ("dev-1", "dev-2"), strict=True):
        await shop.pay(f"order-{uuid}", deviceUuid=uuid)
        await shop.until_rows("SELECT 1 FROM makes WHERE order_id = $1 AND state = 'sent'", f"order-{uuid}")
        assert agent is not None
    assert await shop.column("SELECT merchant_id FROM payments ORDER BY merchant_id") == ["m1", "m2"]

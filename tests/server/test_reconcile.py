"""`reconcile`: books that agree say nothing; what differs is printed and is a case, once."""

import subprocess
import sys
from pathlib import Path

import pytest

from agent import wire
from server.errors import SettingError
from server.reconcile import run_comparison
from server.sandbox_tbank import PASSWORD, TERMINAL_KEY
from server.shop_file import MerchantEntry
from tests.fakes.shop import Shop, machine

TERMINAL = {"TBank": {"terminal_key": TERMINAL_KEY, "password": PASSWORD}}
MERCHANT = MerchantEntry(id="m1", name="Кофе у дома", credentials=TERMINAL)


@pytest.fixture
async def shop(shop: Shop) -> Shop:
    await shop.load(machine(payment_scenario="TBank"), merchant=MERCHANT)
    return shop


async def bought(shop: Shop, order_id: str, made: bool) -> None:
    agent = await shop.agent()
    await shop.pay(order_id)
    command = await agent.hear(wire.Make)
    await (agent.make(command) if made else agent.fail(command))
    await shop.gone(agent)


async def test_books_that_agree_have_no_differences(shop: Shop):
    await bought(shop, "order-1", made=True)
    await bought(shop, "order-2", made=False)
    await shop.until_rows("SELECT 1 FROM refunds WHERE status = 'succeeded'")
    assert await run_comparison(shop.settings, 0) == ([], [])
    assert await shop.open_cases() == []


async def test_money_that_is_held_in_both_books_is_no_difference(shop: Shop):
    await shop.change("UPDATE merchants SET holds_cards_since = 0")
    agent = await shop.agent()
    await shop.pay()
    await agent.hear(wire.Make)
    assert await shop.column("SELECT status FROM payments") == ["held"]
    assert await run_comparison(shop.settings, 0) == ([], [])


async def test_what_differs_is_a_case_once(shop: Shop):
    await bought(shop, "order-1", made=True)
    await shop.change("UPDATE payments SET status = 'canceled'")
    for _ in range(2):
        (found,), unanswered = await run_comparison(shop.settings, 0)
        assert unanswered == []
        assert found["merchant"] == "m1"
        assert found["differs"] == "payment is succeeded: canceled in our books"
    assert await shop.open_cases() == ["books_differ"]


async def test_archived_money_stands_in_our_books_too(shop: Shop, tmp_path: Path):
    await bought(shop, "order-1", made=True)
    await bought(shop, "order-2", made=False)
    await shop.until_rows("SELECT 1 FROM refunds WHERE status = 'succeeded'")
    await shop.archive(tmp_path / "2025.db")
    assert await shop.column("SELECT count(*) FROM orders") == [0]
    assert await run_comparison(shop.settings, 0) == ([], [])
    (tmp_path / "2025.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(SettingError, match=r"2025\.db: name where it is now by --archive"):
        await run_comparison(shop.settings, 0)
    assert await run_comparison(shop.settings, 0, [tmp_path / "elsewhere.db"]) == ([], [])
    assert await shop.open_cases() == []


async def test_a_provider_that_does_not_answer_is_named(shop: Shop):
    await bought(shop, "order-1", made=True)
    settings = shop.settings
    await shop.close()
    found, (why,) = await run_comparison(settings, 0)
    assert found == []
    assert why.startswith("merchant m1, TBank: ")
    await shop.open()


def reconcile(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", "reconcile", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_names_a_wrong_day_and_compares_an_empty_book(tmp_path: Path):
    wrong = reconcile("--from", "yesterday")
    assert (wrong.returncode, wrong.stderr) == (2, "--from must be a day like 2026-11-24, not 'yesterday'\n")
    empty = reconcile("--from", "2026-11-24", "--database-url", f"sqlite:///{tmp_path / 'shop.db'}")
    assert (empty.returncode, empty.stdout) == (0, "")
    assert empty.stderr.splitlines()[-1] == "0 differences since 2026-11-24"

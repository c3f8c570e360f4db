"""Which changes say that customers see their orders differently."""

from typing import Any

import pytest

from server.db import EVERY_ORDER, Touched
from server.store import devices, orders
from tests.fakes.shop import Shop, machine


@pytest.fixture
async def told(shop: Shop) -> list[Touched]:
    """What the database says from now on."""
    await shop.agent()
    heard: list[Touched] = []
    shop.db.on_touched(heard.append)
    return heard


async def test_a_new_order_and_each_change_of_it_are_told(shop: Shop, told: list[Touched]):
    await shop.scan("order-1")
    order = await shop.db.read(orders.get, "order-1")
    assert order is not None
    await shop.db.write(orders.change, order, {"failure_said": "no water"})
    assert told == [{"order-1"}, {"order-1"}]


async def test_another_order_is_told_by_its_own_name(shop: Shop, told: list[Touched]):
    await shop.scan("order-1")
    await shop.scan("order-2")
    assert told == [{"order-1"}, {"order-2"}]


async def test_a_text_of_a_machine_is_on_every_order_of_it(shop: Shop, told: list[Touched]):
    await shop.db.write(devices.change, "dev-1", {"client_info": "hello"})
    assert told == [{EVERY_ORDER}]


@pytest.mark.parametrize("texts", [{"location": "elsewhere"}, {"client_info_paid": "soon"}])
async def test_a_loaded_change_is_on_every_order(shop: Shop, told: list[Touched], texts: dict[str, Any]):
    await shop.load(machine(**texts))
    assert told == [{EVERY_ORDER}]


async def test_what_is_loaded_as_it_was_changes_no_page(shop: Shop, told: list[Touched]):
    await shop.load(machine())
    assert told == []

"""Answers that are lost, cut, late or refused on request, before or after what was asked for is done."""

import asyncio

import aiohttp
import pytest

from server.payments import InDoubt, tbank_api
from server.sandbox_tbank import Harm
from tests.server.sandbox_tbank.street import SHOP, WAIT_S

pytestmark = pytest.mark.one_database  # test_api.py and test_courier.py put their questions to both databases


@pytest.mark.parametrize(
    ("harm", "status"), [(Harm.ERROR, 500), (Harm.BAD_GATEWAY, 502), (Harm.TOO_MANY, 429)]
)
@pytest.mark.parametrize("after_effect", [False, True])
async def test_an_answer_may_be_lost_before_or_after_its_effect(street, harm, status, after_effect: bool):
    street.sandbox.faults.next_call("Init", harm, after_effect)
    body = street.init_body()
    async with street.session.post(street.sandbox.api_url + "/Init", data=body.encode()) as response:
        assert response.status == status
    found = await street.call("CheckOrder", tbank_api.check_order_body(SHOP, "p1"))
    assert found["Success"] is after_effect


@pytest.mark.parametrize("after_effect", [False, True])
async def test_a_connection_may_be_cut(street, after_effect: bool):
    payment_id = await street.paid()
    street.sandbox.faults.next_call("Cancel", Harm.ABORT, after_effect)
    with pytest.raises(aiohttp.ClientError):
        await street.cancel(payment_id)
    assert await street.status(payment_id) == ("REFUNDED" if after_effect else "CONFIRMED")


async def test_half_an_answer_leaves_it_in_doubt(street):
    street.sandbox.faults.next_call("Init", Harm.TRUNCATED)
    body = street.init_body()
    async with street.session.post(street.sandbox.api_url + "/Init", data=body.encode()) as response:
        with pytest.raises(InDoubt):
            tbank_api.read_answer(response.status, await response.read())
    assert (await street.call("CheckOrder", tbank_api.check_order_body(SHOP, "p1")))["Success"]


async def test_an_answer_may_come_late(street):
    street.sandbox.faults.slow_s = 600.0
    street.sandbox.faults.next_call("Init", Harm.SLOW)
    late = asyncio.create_task(street.call("Init", street.init_body()))
    async with asyncio.timeout(WAIT_S):
        while not (await street.call("CheckOrder", tbank_api.check_order_body(SHOP, "p1")))["Success"]:
            pass
    assert not late.done()
    late.cancel()


async def test_any_refusal_may_be_asked_for_once(street):
    payment_id = await street.paid()
    street.sandbox.faults.next_call("Cancel", Harm.REFUSED, code="3002")
    assert (await street.cancel(payment_id))["ErrorCode"] == "3002"
    assert (await street.cancel(payment_id))["Status"] == "REFUNDED"

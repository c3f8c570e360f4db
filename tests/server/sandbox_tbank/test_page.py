"""The payment page, from its real template, as a customer's browser uses it."""

from typing import Any

import pytest

from server.payments import tbank_api
from server.texts import text
from tests.server.sandbox_tbank.street import SHOP, Street

pytestmark = pytest.mark.one_database  # test_api.py puts the same questions to both databases

SUCCESS, FAIL = "https://shop.example/o/1", "https://shop.example/o/1?failed"
ADDRESS = "/sandbox/tbank/pay/"


async def show(street: Street, payment_id: str, lang: str = "ru") -> tuple[int, str]:
    address = street.sandbox.base_url + ADDRESS + payment_id
    async with street.session.get(address, headers={"Accept-Language": lang}) as response:
        return response.status, await response.text()


async def press(street: Street, payment_id: str, result: str) -> tuple[int, Any]:
    address = street.sandbox.base_url + ADDRESS + payment_id
    async with street.session.post(address, data={"result": result}, allow_redirects=False) as response:
        return response.status, response.headers.get("Location") or await response.text()


async def test_the_page_shows_what_is_paid_for_and_that_it_was_shown(street):
    payment_id = await street.new(description="<b>Капучино</b>")
    status, page = await show(street, payment_id)
    assert status == 200
    for words in ("150\xa0₽", "&lt;b&gt;Капучино&lt;/b&gt;", payment_id, "Demitasse", 'value="succeeded"'):
        assert words in page
    assert await street.status(payment_id) == "FORM_SHOWED"


async def test_the_page_speaks_english_too(street):
    _, page = await show(street, await street.new(), "en")
    assert text("sandbox.notice", "en") in page


@pytest.mark.parametrize(
    ("result", "back", "status", "words"),
    [("succeeded", SUCCESS, "CONFIRMED", "succeeded"), ("canceled", FAIL, "REJECTED", "canceled")],
)
@pytest.mark.parametrize("by_code", [False, True])
async def test_a_press_of_the_button_decides_and_leads_back(
    street, result: str, back: str, status: str, words: str, by_code: bool
):
    payment_id = await street.new()
    if by_code:
        await street.call("GetQr", tbank_api.get_qr_body(SHOP, payment_id))
    assert await press(street, payment_id, result) == (303, back)
    assert await street.status(payment_id) == status
    _, page = await show(street, payment_id)
    assert text(f"sandbox.{words}") in page and "<form" not in page


async def test_money_that_is_held_is_shown_so(street):
    payment_id = await street.new(two_stage=True)
    assert await press(street, payment_id, "succeeded") == (303, SUCCESS)
    assert text("sandbox.waiting_for_capture") in (await show(street, payment_id))[1]


async def test_the_second_press_changes_nothing(street):
    payment_id = await street.new()
    await press(street, payment_id, "succeeded")
    assert await press(street, payment_id, "canceled") == (303, SUCCESS)
    assert await street.status(payment_id) == "CONFIRMED"


async def test_an_expired_payment_cannot_be_paid(street):
    payment_id = await street.new()
    street.clock.pass_minutes(15)
    assert await press(street, payment_id, "succeeded") == (303, FAIL)
    assert await street.status(payment_id) == "DEADLINE_EXPIRED"


async def test_without_an_address_to_go_back_to_the_page_stays(street):
    payment_id = str((await street.ask("Init", Amount=15000, OrderId="p1"))["PaymentId"])
    assert await press(street, payment_id, "succeeded") == (303, f"{ADDRESS}{payment_id}")


@pytest.mark.parametrize("result", ["", "paid", "succeeded "])
async def test_another_result_is_refused_in_plain_words(street, result: str):
    payment_id = await street.new()
    assert await press(street, payment_id, result) == (400, text("sandbox.no_such_result"))
    assert await street.status(payment_id) == "NEW"


async def test_a_form_that_is_none_is_refused(street):
    address = street.sandbox.base_url + ADDRESS + await street.new()
    headers = {"Content-Type": "multipart/form-data"}
    async with street.session.post(address, data=b"x", headers=headers) as response:
        assert (response.status, await response.text()) == (400, text("sandbox.no_such_result"))


async def test_an_unknown_payment_has_no_page(street):
    assert await show(street, "4000000001") == (404, text("sandbox.no_such_payment"))
    assert await press(street, "4000000001", "succeeded") == (404, text("sandbox.no_such_payment"))
    assert (await show(street, "x"))[0] == 404

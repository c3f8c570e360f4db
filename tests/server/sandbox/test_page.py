"""The payment page as a customer's browser uses it."""

from typing import Any

import pytest

from server.money import price_text
from server.sandbox.page import NO_SUCH_PAYMENT, NO_SUCH_RESULT
from tests.server.sandbox.street import Street

BACK = "https://shop.example/o/1"


async def show(street: Street, address: str) -> tuple[int, str]:
    async with street.session.get(address) as response:
        return response.status, await response.text()


async def press(street: Street, address: str, result: str) -> tuple[int, Any]:
    async with street.session.post(address, data={"result": result}, allow_redirects=False) as response:
        return response.status, response.headers.get("Location") or await response.text()


@pytest.fixture
async def address(street) -> str:
    return (await street.create()).confirmation_url


async def test_the_page_shows_what_is_paid_for(street, address):
    assert await show(street, address) == (200, f"Demitasse|150\xa0₽|pending|{BACK}")


@pytest.mark.parametrize("result", ["succeeded", "canceled"])
async def test_a_press_of_the_button_decides_and_leads_back(street, address, result):
    assert await press(street, address, result) == (303, BACK)
    assert await show(street, address) == (200, f"Demitasse|150\xa0₽|{result}|{BACK}")


async def test_the_second_press_changes_nothing(street, address):
    await press(street, address, "succeeded")
    assert await press(street, address, "canceled") == (303, BACK)
    assert (await show(street, address))[1].split("|")[2] == "succeeded"


async def test_an_expired_payment_cannot_be_paid(street, address):
    street.clock.pass_minutes(60)
    assert await press(street, address, "succeeded") == (303, BACK)
    assert (await show(street, address))[1].split("|")[2] == "canceled"


@pytest.mark.parametrize("result", ["", "paid", "succeeded "])
async def test_another_result_is_refused_in_plain_words(street, address, result):
    assert await press(street, address, result) == (400, NO_SUCH_RESULT)
    assert (await show(street, address))[1].split("|")[2] == "pending"


async def test_a_form_that_is_none_is_refused(street, address):
    headers = {"Content-Type": "multipart/form-data"}
    async with street.session.post(address, data=b"x", headers=headers) as response:
        assert (response.status, await response.text()) == (400, NO_SUCH_RESULT)


async def test_an_unknown_payment_has_no_page(street, address):
    unknown = address[:-1] + ("0" if address[-1] != "0" else "1")
    assert await show(street, unknown) == (404, NO_SUCH_PAYMENT)
    assert await press(street, unknown, "succeeded") == (404, NO_SUCH_PAYMENT)


@pytest.mark.parametrize(
    ("minor", "text"), [(15000, "150\xa0₽"), (123450, "1\xa0234,50\xa0₽"), (5, "0,05\xa0₽")]
)
def test_money_is_written_for_people(minor: int, text: str):
    assert price_text(minor) == text

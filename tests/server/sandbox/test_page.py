"""The payment page as a customer's browser uses it."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import jinja2
import pytest

from server import texts
from server.app import TEMPLATES
from server.money import price_text
from server.sandbox import words
from server.sandbox.page import NO_SUCH_PAYMENT, NO_SUCH_RESULT, TEMPLATE, for_page
from tests.server.sandbox.street import Street

pytestmark = pytest.mark.one_database  # test_api.py puts the same questions to both databases

BACK = "https://shop.example/o/1"


async def show(street: Street, address: str) -> tuple[int, str]:
    async with street.session.get(address) as response:
        return response.status, await response.text()


async def press(street: Street, address: str, result: str) -> tuple[int, Any]:
    async with street.session.post(address, data={"result": result}, allow_redirects=False) as response:
        return response.status, response.headers.get("Location") or await response.text()


@pytest.fixture
async def address(street) -> str:
    return (await street.create()).confirmation.url


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


# Card, SBP, hold. -----------------------------------------------------------------------------------

SBP = {"payment_method_data": {"type": "sbp"}}
QR = SBP | {"confirmation": {"type": "qr"}}


async def made(street: Street, **options: Any) -> Any:
    """Return a payment that is made with these options of `POST /payments`."""
    body = json.loads(street.body()) | options
    status, payment = await street.call("POST", "/payments", key="k", json=body)
    assert status == 200
    return payment


def address_of(payment: Any) -> str:
    confirmation = payment["confirmation"]
    return str(confirmation.get("confirmation_url") or confirmation["confirmation_data"])


@pytest.mark.parametrize("method", ["bank_card", "sbp"])
async def test_where_the_payment_leaves_it_open_the_customer_chooses(street, method):
    payment = await made(street)
    assert await press(street, f"{address_of(payment)}?method={method}", "succeeded") == (303, BACK)
    _, after = await street.call("GET", f"/payments/{payment['id']}")
    assert (after["status"], after["payment_method"]["type"]) == ("succeeded", method)


@pytest.mark.parametrize("method", ["bank_card", "cash"])
async def test_a_way_that_is_not_open_is_refused_in_plain_words(street, method):
    address = address_of(await made(street, **SBP))
    assert await press(street, f"{address}?method={method}", "succeeded") == (400, NO_SUCH_RESULT)
    assert (await show(street, address))[1].split("|")[2] == "pending"


async def test_a_customer_without_a_way_back_stays_at_the_bank(street):
    address = address_of(await made(street, **QR))
    assert await press(street, address, "succeeded") == (303, urlsplit(address).path)
    assert (await show(street, address))[1].split("|")[2] == "succeeded"


def buttons(page: str) -> list[str]:
    """Return the address and the result of each button, in order."""
    return re.findall(r'<button class="\w+" name="result" value="(\w+)(?:" formaction="([^"]*))?"', page)


@pytest.mark.parametrize(
    ("options", "pay_buttons", "told"),
    [
        ({}, [("succeeded", "?method=bank_card"), ("succeeded", "?method=sbp")], ["Как заплатить?"]),
        ({"payment_method_data": {"type": "bank_card"}}, [("succeeded", "")], ["Банковская карта"]),
        (SBP, [("succeeded", "")], ["СБП"]),
        ({"capture": False}, [("succeeded", "")], [words.HOLD.ru, "Банковская карта"]),
    ],
)
async def test_the_page_asks_only_what_is_open_and_says_what_becomes_of_the_money(
    street, options, pay_buttons, told
):
    payment = await street.sandbox.teller.payment((await made(street, **options))["id"])
    page = rendered(payment)
    assert buttons(page) == [*pay_buttons, ("canceled", "")]
    assert [words_told for words_told in told if words_told not in page] == []
    assert (words.HOLD.ru in page) == (options == {"capture": False})
    assert f'href="{BACK}"' in page


async def test_a_page_without_a_way_back_offers_none(street):
    payment = await street.sandbox.teller.payment((await made(street, **QR))["id"])
    assert words.LEAVE.ru not in rendered(payment)


async def test_the_page_speaks_english_to_those_who_ask(street):
    payment = await street.sandbox.teller.payment((await made(street, capture=False))["id"])
    page = rendered(payment, "en")
    assert words.HOLD.en in page
    assert not re.search("[а-яё]", page.replace(payment["description"], ""), re.IGNORECASE)


def rendered(payment: Any, lang: str = "ru") -> str:
    """Return the page as the server's own template shows it."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.globals |= {"static": str, "text": texts.text}
    context = {"payment": for_page(payment), "shop_name": "Demitasse", "words": words, "lang": lang}
    return environment.get_template(TEMPLATE).render(context)

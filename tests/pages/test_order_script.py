"""The order's page in a browser: when it asks, when it stops, what it says, and that it pays once."""

from typing import Any

import pytest
from playwright.async_api import Browser

from agent.wire import Code
from server import texts
from tests.pages import samples
from tests.pages.conftest import OrderPage

MAKE_FAILED = texts.STATUS_TEXT["make_failed"]


async def test_a_moving_order_is_asked_about_every_second(order_page: OrderPage):
    for status in ("pending", "paid", "make_pending"):
        await order_page.open(status)
        assert await order_page.asked_during(4) == 4, status


async def test_a_resting_order_is_not_asked_about(order_page: OrderPage):
    for status in ("created", "not_paid", "successful", "failed", "make_failed"):
        await order_page.open(status)
        assert await order_page.asked_during(20) == 0, status


async def test_an_order_is_followed_to_its_drink(order_page: OrderPage):
    await order_page.open("pending")
    for status in ("paid", "make_pending", "successful"):
        order_page.shop.becomes(status)
        await order_page.asked_during(1)
        await order_page.seen(texts.STATUS_TEXT[status])
    assert await order_page.page.title() == "Напиток готов · Статус заказа"
    assert await order_page.asked_during(60) == 0


async def test_a_failed_make_stops_the_asking_and_says_why(order_page: OrderPage):
    await order_page.open("make_pending")
    order_page.shop.becomes(
        "make_failed",
        failure=Code.NO_WATER,
        refund_status="pending",
        device={"client_info_make_failed": 'Звоните <a href="tel:+7495">нам</a>'},
    )
    await order_page.asked_during(1)
    for words in (MAKE_FAILED, "В кофемашине закончилась вода.", "возвращаем", "Звоните"):
        await order_page.seen(words)
    assert await order_page.page.locator(".error-icon").text_content() == "⚠"
    assert await order_page.page.locator("button:visible").all_text_contents() == ["Обновить"]
    assert await order_page.asked_during(120) == 0


async def test_after_a_failed_make_the_refund_is_asked_about_on_request(order_page: OrderPage):
    await order_page.open("make_failed", failure=Code.NO_WATER, refund_status="pending")
    order_page.shop.becomes("make_failed", failure=Code.NO_WATER, refund_status="succeeded")
    await order_page.page.get_by_role("button", name="Обновить").click()
    await order_page.seen("возвращено")
    assert not await order_page.page.locator("#refresh").is_visible()
    assert order_page.shop.asked == 1


async def test_after_a_failed_make_coming_back_to_the_page_asks_once(order_page: OrderPage):
    await order_page.open("make_failed", failure=Code.NO_WATER, refund_status="pending")
    order_page.shop.becomes("make_failed", failure=Code.NO_WATER, refund_status="succeeded")
    await order_page.hide(True)
    await order_page.hide(False)
    await order_page.seen("возвращено")
    assert await order_page.asked_during(60) == 0
    assert order_page.shop.asked == 1


async def test_an_unknown_outcome_is_told_calmly_and_asked_about_slowly(order_page: OrderPage):
    await order_page.open("make_pending", failure=Code.TIMEOUT_NO_RESULT)
    await order_page.seen(texts.text("page.unknown_title"))
    assert not await order_page.page.locator(".error-icon").is_visible()
    assert await order_page.page.locator("#cup").get_attribute("data-look") == "unknown"
    assert await order_page.asked_during(30) == 3


async def test_a_hidden_page_asks_rarely_and_at_once_when_it_is_seen_again(order_page: OrderPage):
    await order_page.open("pending")
    await order_page.hide(True)
    assert await order_page.asked_during(30) == 2
    before = order_page.shop.asked
    await order_page.hide(False)
    await order_page.until(lambda: order_page.shop.asked == before + 1)


async def test_a_lost_network_is_told_and_comes_back(order_page: OrderPage, page_complaints: list[str]):
    await order_page.open("pending")
    await order_page.page.context.set_offline(True)
    await order_page.seen("Нет связи с интернетом")
    await order_page.page.context.set_offline(False)
    await order_page.page.locator("#net").wait_for(state="hidden")
    assert order_page.shop.asked >= 1
    page_complaints.clear()


async def test_a_server_in_trouble_is_asked_less_and_less(order_page: OrderPage, page_complaints: list[str]):
    await order_page.open("pending")
    order_page.shop.broken = True
    assert await order_page.asked_during(90) <= 11
    await order_page.seen("Сервер пока не отвечает")
    order_page.shop.broken = False
    await order_page.asked_during(15)
    await order_page.page.locator("#net").wait_for(state="hidden")
    page_complaints.clear()


async def test_an_order_that_is_gone_is_told_and_no_more_asked_about(
    order_page: OrderPage, page_complaints: list[str]
):
    await order_page.open("pending")
    order_page.shop.state = {**order_page.shop.state, "order_id": "another"}
    await order_page.asked_during(1)
    await order_page.seen("Заказ не найден")
    assert await order_page.asked_during(60) == 0
    page_complaints.clear()


async def test_a_double_click_starts_one_payment(order_page: OrderPage):
    await order_page.open("created")
    await order_page.page.locator("#pay-button").dblclick()
    await order_page.page.wait_for_url("**/bank")
    order_id = order_page.shop.state["order_id"]
    assert order_page.shop.posts == [{"path": "/v1/initiate-payment", "order_id": order_id}]


async def test_back_from_the_bank_the_button_works_again(order_page: OrderPage):
    await order_page.open("created")
    await order_page.page.locator("#pay-button").click()
    await order_page.page.wait_for_url("**/bank")
    await order_page.page.go_back()
    await order_page.page.get_by_role("button", name="Перейти к оплате").click()
    await order_page.page.wait_for_url("**/bank")
    assert len(order_page.shop.posts) == 2


async def test_a_page_out_of_the_browsers_memory_asks_again_and_frees_its_button(order_page: OrderPage):
    await order_page.open("created")
    await order_page.page.evaluate("document.querySelector('#pay-button').disabled = true")
    order_page.shop.becomes("pending")
    await order_page.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    await order_page.seen(texts.STATUS_TEXT["pending"])
    assert await order_page.page.get_by_role("button", name="Вернуться к оплате").is_enabled()


async def test_a_refused_payment_says_why_and_may_be_tried_again(
    order_page: OrderPage, page_complaints: list[str]
):
    await order_page.open("not_paid")
    order_page.shop.answer = {"error": "Не удалось создать платеж."}
    await order_page.page.get_by_role("button", name="Повторить оплату").click()
    await order_page.seen("Не удалось создать платеж.")
    assert await order_page.page.get_by_role("button", name="Повторить оплату").is_enabled()
    page_complaints.clear()


async def test_a_redirect_that_is_no_web_address_is_not_followed(order_page: OrderPage):
    await order_page.open("created")
    order_page.shop.answer = {"redirect_url": "javascript:document.title='taken'"}
    await order_page.page.locator("#pay-button").click()
    await order_page.seen("Произошла ошибка при создании платежа")
    assert await order_page.page.title() != "taken"


async def test_a_receipt_needs_a_true_address(order_page: OrderPage):
    await order_page.open("created", is_receipt_mandatory=True, receipt_email="required")
    await order_page.page.locator("#pay-button").click()
    await order_page.seen("Email обязателен для получения чека")
    await order_page.page.get_by_label("Email для чека:").fill("а где собака")
    await order_page.page.locator("#pay-button").click()
    await order_page.seen("Пожалуйста, введите корректный email")
    await order_page.page.get_by_label("Email для чека:").fill("ivan@example.com")
    await order_page.page.locator("#pay-button").click()
    await order_page.page.wait_for_url("**/bank")
    assert [post["email"] for post in order_page.shop.posts] == ["ivan@example.com"]


async def test_the_time_to_pay_runs_out_by_the_servers_word(order_page: OrderPage):
    await order_page.open("created")
    await order_page.seen("15:00")
    await order_page.page.clock.run_for(14 * 60_000 + 1000)
    await order_page.seen("0:59")
    assert order_page.shop.asked == 0
    await order_page.page.clock.run_for(60_000)
    await order_page.seen("Время действия заказа истекло")
    assert not await order_page.page.locator("#pay-button").is_visible()
    assert await order_page.asked_during(30) == 0


async def test_an_order_paid_elsewhere_is_never_called_expired(order_page: OrderPage):
    await order_page.open("created")
    order_page.shop.becomes("paid")
    await order_page.page.clock.run_for(15 * 60_000 + 1000)
    await order_page.seen(texts.STATUS_TEXT["paid"])
    assert not await order_page.page.get_by_text("истекло").is_visible()


@pytest.mark.parametrize(("button", "choice"), [("Приготовить сейчас", "make"), ("Вернуть деньги", "refund")])
async def test_a_late_payer_chooses_once(order_page: OrderPage, button: str, choice: str):
    await order_page.open("manual_make")
    order_page.shop.answer = {}
    order_page.shop.becomes("paid")
    await order_page.page.get_by_role("button", name=button).dblclick()
    await order_page.seen(texts.STATUS_TEXT["paid"])
    assert [post["choice"] for post in order_page.shop.posts] == [choice]


async def test_a_choice_that_is_refused_says_why(order_page: OrderPage, page_complaints: list[str]):
    await order_page.open("manual_make")
    order_page.shop.answer = {"error": "Кофемашина недоступна."}
    await order_page.page.get_by_role("button", name="Приготовить сейчас").click()
    await order_page.seen("Кофемашина недоступна.")
    assert await order_page.page.get_by_role("button", name="Приготовить сейчас").is_enabled()
    page_complaints.clear()


async def test_a_status_that_does_not_answer_is_given_up_and_not_asked_twice_at_once(
    order_page: OrderPage,
):
    await order_page.open("pending")
    async with order_page.shop.silence():
        await order_page.page.clock.run_for(1000)
        await order_page.until(lambda: order_page.shop.asked == 1)
        await order_page.page.clock.run_for(7000)
        await order_page.settle()
        assert order_page.shop.asked == 1
        await order_page.page.clock.run_for(1500)
        await order_page.seen("Сервер пока не отвечает")


@pytest.mark.parametrize(
    ("status", "button"), [("created", "Перейти к оплате"), ("manual_make", "Вернуть деньги")]
)
async def test_a_button_pressed_before_the_script_runs_leads_back_to_the_order(
    order_page: OrderPage, page_complaints: list[str], status: str, button: str
):
    await order_page.page.route("**/order.js*", lambda route: route.abort())
    await order_page.open(status)
    await order_page.page.get_by_role("button", name=button).click()
    await order_page.page.wait_for_url(f"**/order?order_id={order_page.shop.state['order_id']}**")
    await order_page.seen(button)
    assert order_page.shop.posts == []
    page_complaints.clear()


# --- SBP, held money and receipts ---------------------------------------------------------------------

SBP = {"kind": "qr", "url": "/bank", "qr": "/v1/order-qr/order?attempt=1"}
PHONE: dict[str, Any] = {"viewport": {"width": 320, "height": 640}, "has_touch": True, "is_mobile": True}
FAR = "2099-11-23T09:15:00+00:00"
RECEIPT = samples.RECEIPT
UNREGISTERED = RECEIPT | {"status": "pending", "qr": None, "numbers": None}


async def test_on_a_desk_sbp_is_a_code_to_scan_until_it_is_paid(order_page: OrderPage):
    await order_page.open("created")
    order_page.shop.answer = {"redirect_url": "/bank", "kind": "qr"}
    order_page.shop.becomes("pending", pay_at=SBP)
    await order_page.page.get_by_role("button", name="Оплатить через СБП").click()
    await order_page.page.get_by_alt_text("QR-код для оплаты через СБП").wait_for()
    assert [post["method"] for post in order_page.shop.posts] == ["sbp"]
    assert await order_page.page.locator("button:visible").all_text_contents() == ["Оплатить картой"]
    await order_page.is_painted("#scan-qr")
    order_page.shop.becomes("paid", money="taken")
    await order_page.asked_during(1)
    await order_page.page.locator("#scan").wait_for(state="hidden")


async def test_an_address_is_optional_where_it_may_be_left_out(order_page: OrderPage):
    await order_page.open("created", receipt_email="optional")
    field = order_page.page.get_by_label("Email для чека:")
    await field.fill("а где собака")
    await order_page.page.locator("#pay-button").click()
    await order_page.seen("Пожалуйста, введите корректный email")
    await field.fill("")
    await order_page.page.locator("#pay-button").click()
    await order_page.page.wait_for_url("**/bank")
    assert [post.get("email") for post in order_page.shop.posts] == [None]


async def test_sbp_needs_the_address_of_the_receipt_too(order_page: OrderPage):
    await order_page.open("created", is_receipt_mandatory=True, receipt_email="required")
    await order_page.page.get_by_role("button", name="Оплатить через СБП").click()
    await order_page.seen("Email обязателен для получения чека")
    assert order_page.shop.posts == []


async def test_the_code_of_a_receipt_comes_by_itself_and_then_nothing_is_asked(order_page: OrderPage):
    await order_page.open("successful", receipts=[UNREGISTERED])
    await order_page.seen("Кассовый чек: регистрируется в налоговой")
    assert 1 <= await order_page.asked_during(20) <= 4
    order_page.shop.becomes("successful", receipts=[RECEIPT])
    await order_page.asked_during(30)
    await order_page.page.get_by_alt_text("QR-код чека").wait_for()
    await order_page.is_painted("#receipts img")
    await order_page.seen("ФН 9999078900000001 ФД 42 ФПД 0123456789")
    assert await order_page.asked_during(120) == 0


async def test_a_drink_whose_money_is_still_held_has_its_receipt_after_that(order_page: OrderPage):
    await order_page.open("successful", money="held")
    order_page.shop.becomes("successful", money="taken", receipts=[RECEIPT])
    await order_page.asked_during(6)
    await order_page.page.get_by_alt_text("QR-код чека").wait_for()
    assert await order_page.asked_during(60) == 0


async def test_on_a_phone_sbp_opens_the_bank(order_page: OrderPage, browser: Browser):
    async with await browser.new_context(**PHONE) as phone:
        page = await phone.new_page()
        order_page.shop.becomes("created", expires_at=FAR)
        order_page.shop.answer = {"redirect_url": "/bank", "kind": "qr"}
        await page.goto(f"{order_page.address}/order")
        await page.get_by_role("button", name="Оплатить через СБП").click()
        await page.wait_for_url("**/bank")
        order_page.shop.becomes("pending", pay_at=SBP)
        await page.goto(f"{order_page.address}/order")
        await page.get_by_role("link", name="Открыть приложение банка").click()
        await page.wait_for_url("**/bank")


async def test_held_money_is_not_called_taken_nor_its_release_a_refund(order_page: OrderPage):
    await order_page.open("paid", money="held")
    await order_page.seen("Деньги удержаны, но не списаны")
    order_page.shop.becomes("make_failed", failure=Code.NO_WATER, refund_status="pending", money="held")
    await order_page.asked_during(1)
    await order_page.seen("Снимаем удержание.")
    assert not await order_page.page.get_by_text("Деньги удержаны, но не списаны").is_visible()
    order_page.shop.becomes("make_failed", failure=Code.NO_WATER, refund_status="succeeded", money="released")
    await order_page.page.get_by_role("button", name="Обновить").click()
    await order_page.seen("Удержание снято, ничего не списано.")


async def test_where_another_page_asks_for_the_money_there_is_one_button(order_page: OrderPage):
    await order_page.open("created", methods=[])
    assert await order_page.page.locator("button:visible").all_text_contents() == ["Перейти к оплате"]

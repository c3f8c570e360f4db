"""What a customer clicks and reads, in a browser before the real server, its machines and its bank."""

from pathlib import Path

from playwright.async_api import Page, expect

from tests.pages_live.conftest import WITHIN_MS, Shop, Visitor
from tests.processes.site import until

MAKE_FAILED = "Не удалось отправить команду на приготовление. Пожалуйста, обратитесь в поддержку."
TICKS = 30


async def test_a_drink_is_bought_by_three_clicks(visitor: Visitor, shop: Shop):
    await visitor.chooses(shop.works)
    await visitor.goes_to_bank()
    await visitor.pays()
    await visitor.reads("Напиток готов")
    await expect(visitor.page.locator(".brand")).to_contain_text("Кофе у дома")
    await expect(visitor.page.get_by_role("button")).to_have_count(0)


async def test_a_failed_make_says_what_why_and_whom_to_call_and_asks_no_more(visitor: Visitor, shop: Shop):
    page = visitor.page
    await page.clock.install()
    order_id = await visitor.chooses(await shop.dry_machine())
    await visitor.goes_to_bank()
    await visitor.pays()
    await visitor.reads(MAKE_FAILED)
    await expect(page.locator(".error-icon")).to_have_text("⚠")
    await expect(page.locator(".error-icon")).to_be_visible()
    await expect(page.locator("#reason")).to_have_text("В кофемашине закончилась вода.")
    await expect(page.get_by_role("link", name="+7 495 123-45-67")).to_have_attribute(
        "href", "tel:+74951234567"
    )
    await expect(page.locator("#refund")).to_contain_text("Возврат:")
    await expect(page.get_by_role("button")).to_have_text(["Обновить"])
    asked = visitor.asked
    for _ in range(TICKS):
        await page.clock.run_for(1000)
    assert visitor.asked == asked
    await until(lambda: visitor.is_refunded(order_id), "the money is back")
    await page.get_by_role("button", name="Обновить").click()
    await expect(page.locator("#refund")).to_contain_text("возвращено")
    await expect(page.get_by_role("button")).to_have_count(0)


async def test_a_receipt_needs_an_address_and_its_code_comes_onto_the_page(
    visitor: Visitor, shop: Shop, tmp_path: Path
):
    page = visitor.page
    async with shop.receipts(tmp_path):
        await visitor.chooses(shop.works)
        await page.get_by_role("button", name="Перейти к оплате").click()
        await expect(page.locator("#pay-error")).to_have_text("Email обязателен для получения чека")
        await page.get_by_label("Email для чека:").fill("ivan@example.com")
        await visitor.goes_to_bank()
        await visitor.pays()
        await visitor.reads("Напиток готов")
        code = page.get_by_alt_text("QR-код чека")
        await expect(code).to_be_visible(timeout=WITHIN_MS)
        await code.evaluate("picture => picture.decode()")
        await expect(page.locator("#receipts")).to_contain_text("Кассовый чек: ФН 9999078900000001 ФД 1 ФПД")


async def test_sbp_is_paid_by_scanning_its_code(visitor: Visitor, shop: Shop):
    page = visitor.page
    await visitor.chooses(shop.works)
    await page.get_by_role("button", name="Оплатить через СБП").click()
    code = page.get_by_alt_text("QR-код для оплаты через СБП")
    await expect(code).to_be_visible()
    await code.evaluate("picture => picture.decode()")
    async with page.expect_navigation():
        await page.get_by_role("link", name="Открыть приложение банка").click()
    await visitor.at_bank()
    await visitor.pays()
    await visitor.reads("Напиток готов")


async def test_a_double_click_starts_one_payment(visitor: Visitor, shop: Shop):
    order_id = await visitor.chooses(shop.works)
    await visitor.page.get_by_role("button", name="Перейти к оплате").dblclick()
    await visitor.at_bank()
    assert visitor.payments_of(order_id) == 1


async def test_back_from_the_bank_the_customer_pays_after_all(visitor: Visitor, shop: Shop):
    order_id = await visitor.chooses(shop.works)
    await visitor.goes_to_bank()
    await visitor.page.go_back()
    await visitor.reads("Проверяем оплату заказа...")
    await visitor.presses("Вернуться к оплате")
    await visitor.at_bank()
    await visitor.pays()
    await visitor.reads("Напиток готов")
    assert visitor.payments_of(order_id) == 1


async def test_a_refused_payment_may_be_tried_again(visitor: Visitor, shop: Shop):
    order_id = await visitor.chooses(shop.works)
    await visitor.goes_to_bank()
    await visitor.page.get_by_role("button", name="Отказаться").click()
    await visitor.reads("Оплата не прошла")
    await visitor.presses("Повторить оплату")
    await visitor.at_bank()
    await visitor.pays()
    await visitor.reads("Напиток готов")
    assert visitor.payments_of(order_id) == 2


async def test_a_lost_network_is_told_and_the_page_goes_on_by_itself(
    visitor: Visitor, shop: Shop, page_complaints: list[str]
):
    page = visitor.page
    await visitor.chooses(shop.works)
    await visitor.goes_to_bank()
    await page.go_back()
    await visitor.reads("Проверяем оплату заказа...")
    await page.context.set_offline(True)
    await expect(page.locator("#net")).to_contain_text("Нет связи с интернетом")
    await page.context.set_offline(False)
    await expect(page.locator("#net")).to_be_hidden(timeout=WITHIN_MS)
    assert all("ERR_INTERNET_DISCONNECTED" in complaint for complaint in page_complaints)
    page_complaints.clear()


async def test_a_code_of_no_machine_says_so(page: Page, shop: Shop, page_complaints: list[str]):
    answer = await page.goto(f"{shop.site.url}/m/nowhere")
    assert answer is not None and answer.status == 404
    await expect(page.locator(".reason")).to_have_text(
        "Устройство не найдено. Пожалуйста, обратитесь к администратору."
    )
    page_complaints.clear()  # Chromium complains of any page that is a 404

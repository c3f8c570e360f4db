"""What a technician clicks and reads: the machine, its last failure, and the words that its customers see."""

import re

from playwright.async_api import Page, expect

from tests.pages_live.conftest import TECHNICIAN, Shop
from tests.processes.customer import Customer

HOSTILE = 'Звоните: <a href="tel:+74950000000">дежурному</a><script>document.title = "взлом"</script>'


async def sign_in(page: Page, shop: Shop) -> None:
    name, password = TECHNICIAN
    await page.goto(f"{shop.site.url}/tech/")
    await page.get_by_label("Имя").fill(name)
    await page.get_by_label("Пароль").fill(password)
    await page.get_by_role("button", name="Войти").click()
    await expect(page.get_by_role("heading", name="Автоматы")).to_be_visible()


async def test_a_technician_sees_the_failure_and_changes_what_its_customers_read(page: Page, shop: Shop):
    async with Customer(shop.site) as customer:
        failed = await customer.buys(await shop.dry_machine())
    await sign_in(page, shop)
    machine = page.locator(".fleet > li", has_text=failed.machine.device_uuid)
    await expect(machine).to_contain_text("no_water")
    await machine.get_by_role("heading").get_by_role("link").click()
    await expect(page.locator(".failure").first).to_contain_text(failed.order_id)
    await expect(page.locator(".failure").first).to_contain_text("Наполните бак")

    await page.get_by_label("Напиток не получился").fill(HOSTILE)
    preview = page.locator('[data-preview-of="client_info_make_failed"]')
    await expect(preview).to_contain_text("Звоните: дежурному")
    await expect(preview.locator("script")).to_have_count(0)
    await page.get_by_role("button", name="Сохранить").click()
    await expect(page.get_by_text("Сохранено.")).to_be_visible()

    await page.goto(f"{shop.site.url}/v1/order-status-page?order_id={failed.order_id}")
    words = page.locator("#place-words")
    await expect(words.get_by_role("link", name="дежурному")).to_have_attribute("href", "tel:+74950000000")
    await expect(words.locator("script")).to_have_count(0)
    await expect(page).to_have_title(re.compile("Статус заказа"))


async def test_a_wrong_password_opens_nothing(page: Page, shop: Shop, page_complaints: list[str]):
    await page.goto(f"{shop.site.url}/tech/")
    await page.get_by_label("Имя").fill(TECHNICIAN[0])
    await page.get_by_label("Пароль").fill("булочка")
    await page.get_by_role("button", name="Войти").click()
    await expect(page.get_by_role("alert")).to_have_text("Неверное имя или пароль.")
    page_complaints.clear()  # Chromium complains of any page that is a 403

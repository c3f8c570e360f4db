"""Pictures of a running site, each status reached for real: `python -m tests.screenshots [FOLDER]`."""

import asyncio
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

from playwright.async_api import Browser, BrowserContext

from tests.browser import find_chromium, launched
from tests.processes.customer import Customer
from tests.processes.site import Site

FOLDER = Path("build/screenshots")
WIDTHS = {320: 640, 1280: 900}
SCHEMES = ("light", "dark")
LATE_S = 8
"""Who pays later than this is asked whether he still wants his drink."""
OPERATOR = ("demo", "espresso-doppio")


async def reach_every_status(site: Site) -> dict[str, str]:
    """Buy until each status is shown by some order; return the path of each page."""
    behaviours = ((), ("--brew-s", "600"), ("--fail", "no-water"), ("--fail", "double"), ())
    works, slow, dry, doubtful, absent = [
        await site.machine(*behaviour, make_limit_s=140) for behaviour in behaviours
    ]
    async with Customer(site) as customer:
        late = await customer.at_bank(works)
        late_at = time.monotonic() + LATE_S + 1
        bought = {"created": await customer.chooses(works), "pending": await customer.at_bank(works)}
        bought["not_paid"] = await (await (await customer.at_bank(works)).pay("canceled")).over()
        bought["successful"] = await customer.buys(works)
        bought["make_failed"] = await customer.buys(dry)
        bought["unknown"] = await (await customer.pays(doubtful)).doubted()
        bought["make_pending"] = await (await customer.pays(slow)).becomes("make_pending")
        waits = await customer.at_bank(absent)
        absent.agent.kill()
        bought["paid"] = await (await waits.pay()).becomes("paid")
        abandoned = await customer.chooses(works)
        change(
            site, "UPDATE orders SET expires_at = 0, deadline_at = 0 WHERE order_id = ?", abandoned.order_id
        )
        bought["failed"] = await abandoned.becomes("failed")
        expired = bought["expired"] = await customer.chooses(works)
        change(
            site, "UPDATE orders SET expires_at = 0, deadline_at = NULL WHERE order_id = ?", expired.order_id
        )
        unreturned = bought["refund_failed"] = await customer.buys(works, "tea")
        change(site, "UPDATE orders SET refund_status = 'failed' WHERE order_id = ?", unreturned.order_id)
        await asyncio.sleep(max(0.0, late_at - time.monotonic()))
        bought["manual_make"] = await (await late.pay()).becomes("manual_make")
    pages = {f"order-{status}": order_page(order.order_id) for status, order in bought.items()}
    pages["bank"] = bought["pending"].pay_at.removeprefix(site.url)
    pages["menu"], pages["menu-not-selling"] = (f"/m/{machine.device_uuid}" for machine in (works, dry))
    pages["tech-machine"] = f"/tech/devices/{dry.device_uuid}"
    return pages | {
        "home": "/",
        "error": "/m/nowhere",
        "tech-machines": "/tech/",
        "tech-cases": "/tech/cases",
        "tech-error": "/tech/devices/nobody",
    }


def order_page(order_id: str) -> str:
    return f"/v1/order-status-page?order_id={order_id}"


def change(site: Site, sql: str, order_id: str) -> None:
    """Write what would take hours to happen."""
    database = sqlite3.connect(site.database)
    try:
        with database:
            database.execute(sql, (order_id,))
    finally:
        database.close()


async def take(browser: Browser, site: Site, pages: dict[str, str], folder: Path) -> list[str]:
    """Write a picture per page, width and colour scheme; return which pages are wider than their screen."""
    wide: list[str] = []
    for width, height in WIDTHS.items():
        for scheme in SCHEMES:
            context = await browser.new_context(
                base_url=site.url,
                locale="ru-RU",
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
                reduced_motion="reduce",
            )
            end = f"{width}-{scheme}.png"
            wide += [f"{name} at {width}" for name in await _take_all(context, pages, folder, end)]
            await context.close()
    return wide


async def _take_all(context: BrowserContext, pages: dict[str, str], folder: Path, end: str) -> list[str]:
    page = await context.new_page()
    await page.goto("/tech/")
    await page.screenshot(path=folder / f"tech-login-{end}", full_page=True)
    await page.locator("#name").fill(OPERATOR[0])
    await page.locator("#password").fill(OPERATOR[1])
    await page.locator("#password").press("Enter")
    await page.wait_for_selector(".fleet")
    wide = []
    for name, path in pages.items():
        await page.goto(path)
        await page.screenshot(path=folder / f"{name}-{end}", full_page=True)
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(name)
    return wide


async def main(folder: Path) -> int:
    """Take all pictures; 1 when a page is wider than its screen or there is no browser."""
    path = find_chromium()
    if path is None:
        print("no chromium was found", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        settings = {"FAST_TRACK_LIMIT_S": LATE_S, "MAKE_LIFE_S": 600, "MAKE_RESULT_S": 600}
        async with Site(Path(temporary) / "site", places=5, **settings) as site, launched(path) as browser:
            await site.run("user", "add", OPERATOR[0], "--role", "operator", typed=f"{OPERATOR[1]}\n")
            wide = await take(browser, site, await reach_every_status(site), folder)
    print("\n".join(f"wider than its screen: {name}" for name in wide) or f"pictures are in {folder}")
    return 1 if wide else 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) == 2 else FOLDER)))

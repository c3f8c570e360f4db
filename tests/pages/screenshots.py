"""Pictures of every page in every state: `python -m tests.pages.screenshots FOLDER [PART_OF_NAME]`."""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Browser

from tests.browser import find_chromium, launched
from tests.pages.fake_server import pages_on_loopback
from tests.pages.samples import STATES

WIDTHS = (320, 1280)
SCHEMES = ("light", "dark")


async def take(browser: Browser, address: str, names: list[str], folder: Path) -> list[str]:
    """Write a picture per page, width and colour scheme; return what overflows its width."""
    wide: list[str] = []
    for width in WIDTHS:
        for scheme in SCHEMES:
            context = await browser.new_context(
                viewport={"width": width, "height": 640 if width < 600 else 900},
                color_scheme="dark" if scheme == "dark" else "light",
                reduced_motion="reduce",
            )
            page = await context.new_page()
            for name in names:
                await page.goto(f"{address}/sample/{name}")
                if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wide.append(f"{name} at {width}")
                await page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            await context.close()
    return wide


async def main(folder: Path, part: str) -> int:
    """Take the pictures of the pages whose name holds `part`; 1 when one is wider than its screen."""
    folder.mkdir(parents=True, exist_ok=True)
    path = find_chromium()
    if path is None:
        print("no chromium was found", file=sys.stderr)
        return 1
    async with pages_on_loopback() as address, launched(path) as browser:
        wide = await take(browser, address, [name for name in STATES if part in name], folder)
    print("\n".join(f"wider than its screen: {name}" for name in wide) or f"pictures are in {folder}")
    return 1 if wide else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else "")))

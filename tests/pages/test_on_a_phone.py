"""Every page in every state on the smallest phone: nothing too wide, too small to touch or hard to read."""

from typing import Any

import pytest
from playwright.async_api import Page

from tests.pages.samples import STATES

MEASURE = """() => {
  const seen = element => element.checkVisibility() && !element.closest("svg");
  const name = element => element.tagName + " " + element.textContent.trim().slice(0, 30);
  const touched = "button, a.button, .sizes a, input:not([type=hidden]), textarea, summary, nav a";
  const small = [...document.querySelectorAll(touched)].filter(seen)
    .filter(one => one.getBoundingClientRect().height < 43.5).map(name);
  const tiny = [...document.querySelectorAll("body *")].filter(seen)
    .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
    .filter(one => parseFloat(getComputedStyle(one).fontSize) < 16).map(name);
  const wide = document.documentElement.scrollWidth > innerWidth ? ["the page"] : [];
  return {small, tiny, wide};
}"""


async def test_every_page_fits_and_can_be_touched_and_read(page: Page, address: str):
    wrong: dict[str, Any] = {}
    for name in STATES:
        await page.goto(f"{address}/sample/{name}")
        found = await page.evaluate(MEASURE)
        wrong |= {name: found} if any(found.values()) else {}
    assert wrong == {}


async def test_an_order_number_stays_in_one_line(page: Page, address: str):
    await page.goto(f"{address}/sample/order-created")
    number = page.locator(".foot .code")
    assert len(await number.inner_text()) == 32
    one_line_px = await number.evaluate("number => parseFloat(getComputedStyle(number).lineHeight)")
    box = await number.bounding_box()
    assert box is not None and box["height"] < 1.5 * one_line_px


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_words_stand_out_from_what_is_behind_them(page: Page, address: str, scheme: Any):
    await page.emulate_media(color_scheme=scheme)
    await page.goto(f"{address}/sample/tech-machine")
    ratios = await page.evaluate(CONTRASTS)
    assert ratios
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


CONTRASTS = """() => {
  const style = getComputedStyle(document.documentElement);
  const light = name => {
    let hex = style.getPropertyValue(name).trim().slice(1);
    if (hex.length === 3) hex = [...hex].map(digit => digit + digit).join("");
    const part = index => {
      const value = parseInt(hex.slice(2 * index, 2 * index + 2), 16) / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * part(0) + 0.7152 * part(1) + 0.0722 * part(2);
  };
  const behind = {
    "--paper": ["--ink", "--quiet", "--accent"],
    "--card": ["--ink", "--quiet", "--accent", "--good", "--warn", "--bad"],
    "--tint": ["--ink", "--quiet", "--accent"],
    "--good-tint": ["--ink", "--good"],
    "--warn-tint": ["--ink", "--warn"],
    "--bad-tint": ["--ink", "--bad"],
    "--accent": ["--on-accent"],
    "--accent-deep": ["--on-accent"],
  };
  const pairs = Object.entries(behind).flatMap(([back, words]) => words.map(word => [word, back]));
  return Object.fromEntries(pairs.map(([word, back]) => {
    const [high, low] = [light(word), light(back)].sort((a, b) => b - a);
    return [`${word} on ${back}`, (high + 0.05) / (low + 0.05)];
  }));
}"""

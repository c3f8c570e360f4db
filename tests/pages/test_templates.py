"""The templates without a browser: nothing inline, nothing of a customer's unescaped, no words missing."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from agent.wire import Code
from server import texts
from server.order import Status
from tests.pages.render import STATIC, environment, render
from tests.pages.samples import CALL, STATES, device, drinks, failure, machine, order, order_page

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
FORBIDDEN_TAGS = {"style", "iframe", "object", "embed", "base", "font"}


class Reader(HTMLParser):
    """Notes what a page holds: its tags, and what the Content-Security-Policy would not let run."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.forbidden: list[str] = []
        self.labels: set[str] = set()
        self.fields: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"] or ""] if "id" in given else []
        self.labels |= {given.get("for") or ""} if tag == "label" else set()
        if tag in ("input", "textarea") and given.get("type") != "hidden":
            self.fields.add(given.get("id") or "without an id")
        inline = tag == "script" and "src" not in given and given.get("type") != "application/json"
        styled = [name for name in given if name == "style" or name.startswith("on")]
        if inline or styled or tag in FORBIDDEN_TAGS:
            self.forbidden.append(f"{tag} {styled}")


def page_of(name: str) -> str:
    template, context = STATES[name]
    return render(template, **context)


def rendered(status: str = "created", **changes: Any) -> str:
    template, context = order_page(status, **changes)
    return render(template, **context)


@pytest.mark.parametrize("name", STATES)
def test_a_page_holds_nothing_inline_and_one_heading(name: str):
    read = Reader(page_of(name))
    assert read.forbidden == []
    assert read.tags.count("h1") == 1
    assert read.tags.count("main") == 1
    assert len(read.ids) == len(set(read.ids))
    assert read.fields <= read.labels


@pytest.mark.parametrize("name", STATES)
def test_a_page_has_its_language_and_no_address_from_outside(name: str):
    page = page_of(name)
    assert f'<html lang="{STATES[name][1].get("lang", "ru")}">' in page
    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*"', page) == []


def test_hostile_words_stay_words():
    hostile = {"drink_name": HOSTILE, "order_id": HOSTILE, "status_text": HOSTILE}
    place = {"location": HOSTILE, "logo_url": HOSTILE}
    pages = [
        rendered("make_failed", **hostile, device=place, failure=Code.NO_CUP),
        render(
            "customer/menu.html",
            device=device(**place, merchant_name=HOSTILE, why_not=HOSTILE),
            drinks=[{**drink, "name": HOSTILE} for drink in drinks()],
        ),
        render("customer/error.html", title=HOSTILE, message=HOSTILE, device=device(**place)),
        render(
            "technician/machines.html",
            machines=[
                machine(
                    location=HOSTILE, machine_said=HOSTILE, last_failure=failure(Code.NO_MILK, said=HOSTILE)
                )
            ],
            q=HOSTILE,
            user={"name": HOSTILE, "role": "operator"},
            csrf=HOSTILE,
        ),
    ]
    for page in pages:
        assert "<img src=x" not in page
        assert "<script>alert" not in page
        assert Reader(page).forbidden == []


def test_the_embedded_state_is_the_status_json():
    state = order("make_failed", drink_name="</script><b>", failure=Code.NO_WATER)
    page = render("customer/order.html", order=state, now=None)
    embedded = re.search(r'id="order-state">(.*?)</script>', page)
    assert embedded
    assert json.loads(embedded[1]) == state


def test_a_failed_make_says_what_why_whom_to_call_and_offers_no_payment():
    told = {"client_info_make_failed": CALL}
    page = rendered("make_failed", failure=Code.NO_WATER, refund_status="pending", device=told)
    assert re.search(r'class="error-icon"[^>]*>⚠<', page)
    assert not re.search(r'class="error-icon"[^>]*hidden(?!=)>', page)
    for words in (texts.STATUS_TEXT["make_failed"], "В кофемашине закончилась вода.", "возвращаем", CALL):
        assert words in page
    assert re.search(r'<form id="pay"[^>]* hidden>', page)
    assert re.search(r'<form id="choose"[^>]* hidden>', page)


def test_without_words_of_the_place_the_standard_text_stands_alone():
    assert re.search(r'id="place-words" hidden></div>', rendered("make_failed", failure=Code.NO_WATER))


@pytest.mark.parametrize("status", [status.value for status in Status])
def test_the_first_paint_shows_each_status_without_a_script(status: str):
    page = rendered(status)
    assert f'id="status" class="status">{texts.STATUS_TEXT[status]}<' in page
    assert ("http-equiv" in page) == (status in ("pending", "paid", "make_pending", "manual_make"))


@pytest.mark.parametrize("status", ["pending", "paid", "make_pending", "successful", "make_failed"])
def test_only_an_unpaid_order_expires(status: str):
    assert texts.text("page.expired") not in _text_of_status(rendered(status, expired=True))
    assert texts.text("page.expired") in _text_of_status(rendered("created", expired=True))


def test_an_unknown_outcome_says_its_text_once():
    words = texts.text("page.unknown_text")
    page = rendered("make_pending", failure=Code.POWER_LOSS)
    told_by_server = order("paid") | {"failure": {"code": "power_loss", "text": words}}
    for shown in (page, render("customer/order.html", order=told_by_server, now=None)):
        visible = shown.split('id="order-state"')[0]
        assert visible.count(words) == 1
        assert 'data-look="unknown"' in visible


@pytest.mark.parametrize(
    ("price", "shown"), [(90, "90"), (90.5, "90,50"), (1290, "1\u00a0290"), (0.07, "0,07"), (0, "0")]
)
def test_a_price_reads_as_people_write_it(price: float, shown: str):
    assert f"<dd>{shown}&nbsp;₽</dd>" in rendered(price=price)


def test_english_pages_speak_english():
    page = rendered("pending", lang="en", status_text=texts.text("status.pending", "en")).split(
        "order-state"
    )[0]
    spoken = re.sub(r'<dd>.*?</dd>|class="maker">.*?<', "", page)
    assert not re.search("[а-яё]", spoken, re.IGNORECASE)


def test_a_machine_that_does_not_sell_offers_nothing_to_buy():
    page = page_of("menu-stopped")
    assert texts.text("error.device_offline") in page
    assert "/v1/pay" not in page


def test_the_sandbox_posts_its_result_to_its_own_address():
    assert re.search(
        r'<form method="post">.*value="succeeded".*value="canceled"', page_of("sandbox"), re.DOTALL
    )
    assert "<form" not in page_of("sandbox-over")


@pytest.mark.parametrize(
    "name", [name for name in STATES if name.startswith("tech-") and name != "tech-error-stranger"]
)
def test_every_form_of_technicians_carries_the_sessions_token(name: str):
    forms = re.findall(r'<form[^>]*method="post".*?</form>', page_of(name), re.DOTALL)
    assert forms
    assert all('name="csrf" value="t' in form for form in forms)


def test_every_text_that_templates_ask_for_exists():
    env = environment()
    asked: set[str] = set()
    for name in env.list_templates():
        source, _, _ = env.loader.get_source(env, name)  # type: ignore[union-attr]
        asked |= set(re.findall(r'text\("([a-z]+\.[a-z_]+)", lang', source))
    assert len(asked) > 50
    assert [key for key in asked if key.partition(".")[2] not in texts.TABLES[key.partition(".")[0]]] == []


def test_the_files_stay_small():
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir() if path.is_file()}
    assert sizes["app.css"] < 20_000
    assert sizes["order.js"] < 13_000
    assert sizes["tech.js"] < 2_000


def _text_of_status(page: str) -> str:
    found = re.search(r'id="status" class="status">(.*?)</p>', page)
    assert found
    return found[1]

"""The technicians' pages over HTTP: machines, failures, texts, cases."""

import re
from urllib.parse import urlsplit

import pytest

from agent.wire import Code
from server.db import Statement, Transaction
from server.store import devices, payments, users
from server.store.rows import Notification
from server.texts import text
from tests.server.pages.conftest import Desk


def machine_pages(page: str) -> list[str]:
    """Return the machines of the list, in its order."""
    return re.findall(r'href="/tech/devices/([^"]+)"', page)


def orders_shown(page: str) -> list[str]:
    """Return the orders of the failures shown, in their order."""
    return re.findall(r"<dd[^>]*>(order-\d+)</dd>", page)


def link(page: str, words: str) -> str:
    """Return the address of the link with these words."""
    found = re.search(rf'href="([^"]+)"[^>]*>[^<]*{words}', page)
    assert found, f"no link {words}"
    return found[1].replace("&amp;", "&")


async def test_the_list_says_what_failed_and_what_to_do(at_desk: Desk):
    await at_desk.fleet.connect("dev-1", "error", Code.NO_WATER, "FA:01 fill tank")
    await at_desk.fleet.fail("dev-1", "order-1")
    page = await at_desk.page("/tech/")
    for told in ("ул. Ленина, 1", "Кофе у дома", "no_water", "FA:01 fill tank", "Эспрессо", "order-1"):
        assert told in page
    assert "23.11.2026 12:00 UTC" in page and "Что делать" in page


async def test_a_machine_without_its_agent_says_since_when(at_desk: Desk):
    await at_desk.fleet.connect("dev-1")
    await at_desk.fleet.part("dev-1")
    at_desk.clock.go(2 * 3600)
    page = (await at_desk.page("/tech/")).replace("\N{NO-BREAK SPACE}", " ")
    assert "нет связи" in page and "2 часа, с 23.11.2026 12:00 UTC" in page


async def test_a_machine_that_never_came_says_so(at_desk: Desk):
    assert "ещё ни разу не подключался" in await at_desk.page("/tech/")


async def test_trouble_stands_first(at_desk: Desk):
    await at_desk.fleet.add("dev-2", "Ангарская, 5")
    await at_desk.fleet.add("dev-3", "Яблочная, 7")
    await at_desk.fleet.connect("dev-1")
    await at_desk.fleet.connect("dev-2")
    assert machine_pages(await at_desk.page("/tech/")) == ["dev-3", "dev-2", "dev-1"]


@pytest.mark.parametrize("q", ["АНГАР", "dev-2"])
async def test_a_machine_is_found_by_place_and_number(at_desk: Desk, q: str):
    await at_desk.fleet.add("dev-2", "Ангарская, 5")
    assert machine_pages(await at_desk.page(f"/tech/?q={q}")) == ["dev-2"]


async def test_an_unknown_machine_is_not_found(at_desk: Desk):
    await at_desk.page("/tech/devices/nothing", status=404)


async def test_a_machine_shows_its_failures_newest_first(at_desk: Desk):
    await at_desk.fleet.connect("dev-1")
    await at_desk.fleet.fail("dev-1", "order-1")
    at_desk.clock.go(60)
    await at_desk.fleet.lose_sight("dev-1", "order-2")
    page = await at_desk.page("/tech/devices/dev-1")
    assert orders_shown(page) == ["order-2", "order-1"]
    assert "paid → make_failed" in page and "90\N{NO-BREAK SPACE}₽" in page
    assert "неизвестно, вышел ли напиток" in page and "напиток не выдан" in page


async def test_failures_are_leafed_through_both_ways(at_desk: Desk):
    await at_desk.fleet.connect("dev-1")
    for number in range(45):
        await at_desk.fleet.fail("dev-1", f"order-{number}")
    newest = await at_desk.page("/tech/devices/dev-1")
    middle = await at_desk.page("/tech/devices/dev-1" + urlless(link(newest, "Старше")))
    oldest = await at_desk.page("/tech/devices/dev-1" + urlless(link(middle, "Старше")))
    again = await at_desk.page("/tech/devices/dev-1" + urlless(link(oldest, "Новее")))
    shown = orders_shown(newest) + orders_shown(middle) + orders_shown(oldest)
    assert shown == [f"order-{number}" for number in range(44, -1, -1)]
    assert orders_shown(again) == orders_shown(middle)
    assert "Новее" not in newest and "Старше" not in oldest


def urlless(href: str) -> str:
    """Return the query of a link."""
    return f"?{urlsplit(href).query}"


async def test_a_place_in_the_list_that_is_none_is_refused(at_desk: Desk):
    await at_desk.page("/tech/devices/dev-1?before=yesterday", status=400)


# --- texts ------------------------------------------------------------------------------------------


async def test_texts_are_saved_and_who_changed_them_is_known(at_desk: Desk):
    response = await at_desk.post("/tech/devices/dev-1", client_info="<b>Привет</b>\r\n", logo_url="")
    assert response.status == 303
    assert "Сохранено." in await at_desk.page(response.headers["Location"])
    device = await at_desk.fleet.db.read(devices.get, "dev-1")
    changes = await at_desk.fleet.db.read(users.changes_of, "dev-1")
    assert device is not None and device.client_info == "<b>Привет</b>"
    told = [(change.user_name, change.what, change.before_text, change.after_text) for change in changes]
    assert told == [("anna", "client_info", None, "<b>Привет</b>")]


async def test_saving_the_same_again_records_nothing(at_desk: Desk):
    for _ in range(2):
        await at_desk.post("/tech/devices/dev-1", client_info="Привет")
    assert len(await at_desk.fleet.db.read(users.changes_of, "dev-1")) == 1


async def test_what_the_customer_will_see_is_shown_without_saving(at_desk: Desk):
    words = '<b>Кофе</b><script>alert(1)</script><a href="tel:+7">звоните</a>'
    response = await at_desk.post("/tech/devices/dev-1", action="preview", client_info=words)
    page = await response.text()
    assert '<b>Кофе</b><a href="tel:+7" rel="noopener noreferrer">звоните</a>' in page
    assert "<script>alert" not in page
    assert await at_desk.fleet.db.read(users.changes_of, "dev-1") == []


async def test_what_is_typed_is_previewed_as_json(at_desk: Desk):
    headers = {"X-CSRF": await at_desk.csrf()}
    typed = {"html": "<b>Кофе</b><img src=x onerror=alert(1)>"}
    response = await at_desk.client.post("/tech/preview", json=typed, headers=headers)
    assert await response.json() == {"html": "<b>Кофе</b>"}


@pytest.mark.parametrize(("typed", "status"), [({"html": 5}, 400), ({"html": "x" * 4001}, 400), ([], 400)])
async def test_a_preview_of_something_else_is_refused(at_desk: Desk, typed: object, status: int):
    headers = {"X-CSRF": await at_desk.csrf()}
    response = await at_desk.client.post("/tech/preview", json=typed, headers=headers)
    assert response.status == status


async def test_a_preview_without_a_session_is_refused_as_json(desk: Desk):
    response = await desk.client.post("/tech/preview", json={"html": "x"})
    assert response.status == 401
    assert "error" in await response.json()


async def test_a_text_too_long_is_marked_and_kept_in_the_form(at_desk: Desk):
    response = await at_desk.post("/tech/devices/dev-1", client_info="ж" * 4001, client_info_paid="Ждём")
    page = await response.text()
    assert response.status == 400
    assert "не больше 4000 знаков" in page and "ж" * 4001 in page and "Ждём" in page
    assert await at_desk.fleet.db.read(users.changes_of, "dev-1") == []


@pytest.mark.parametrize(
    "logo_url",
    [
        "http://coffee.example/logo.png",
        "javascript:alert(1)",
        "https://",
        "https://evil.example;script-src *",
        'https://evil.example/"onload=',
        "https://coffee.example/a b",
        "https://user@coffee.example/",
    ],
)
async def test_a_logo_must_be_a_plain_https_address(at_desk: Desk, logo_url: str):
    response = await at_desk.post("/tech/devices/dev-1", logo_url=logo_url)
    assert response.status == 400 and "https://" in await response.text()


async def test_a_logo_is_kept_and_taken_away(at_desk: Desk):
    for logo_url in ("https://coffee.example:8443/logo.png?size=2", ""):
        assert (await at_desk.post("/tech/devices/dev-1", logo_url=logo_url)).status == 303
        device = await at_desk.fleet.db.read(devices.get, "dev-1")
        assert device is not None and device.logo_url == (logo_url or None)


async def test_a_form_older_than_another_ones_change_saves_nothing(at_desk: Desk):
    seen = re.search(r'name="seen" value="(\w+)"', await at_desk.page("/tech/devices/dev-1"))
    assert seen
    await at_desk.post("/tech/devices/dev-1", client_info="первый", seen=seen[1])
    response = await at_desk.post("/tech/devices/dev-1", client_info="второй", seen=seen[1])
    page = await response.text()
    assert response.status == 400 and "Форма устарела" in page and "второй" in page
    device = await at_desk.fleet.db.read(devices.get, "dev-1")
    assert device is not None and device.client_info == "первый"


async def test_a_preview_does_not_make_a_stale_form_fresh(at_desk: Desk):
    stale = await at_desk.post("/tech/devices/dev-1", action="preview", client_info="второй", seen="long ago")
    assert 'name="seen" value="long ago"' in await stale.text()


async def test_a_wrong_text_does_not_empty_the_others(at_desk: Desk):
    await at_desk.post("/tech/devices/dev-1", client_info="первый")
    response = await at_desk.post("/tech/devices/dev-1", logo_url="http://x")
    assert "первый" in await response.text()


async def test_all_texts_at_their_longest_fit_into_one_form(at_desk: Desk):
    names = ("client_info", "client_info_paid", "client_info_not_paid", "client_info_make_failed")
    names += ("client_info_pending", "client_info_make_pending", "client_info_manual_make")
    names += ("client_info_successful", "client_error_info")
    response = await at_desk.post("/tech/devices/dev-1", **dict.fromkeys(names, "😀" * 4000))
    assert response.status == 303


# --- cases ------------------------------------------------------------------------------------------


async def test_an_open_case_shows_its_order_and_how_long_it_waits(at_desk: Desk):
    await at_desk.fleet.connect("dev-1")
    await at_desk.fleet.lose_sight("dev-1", "order-1")
    at_desk.clock.go(3 * 60)
    page = (await at_desk.page("/tech/cases")).replace("\N{NO-BREAK SPACE}", " ")
    for told in ("Неизвестно, вышел ли напиток", "order-1", "ул. Ленина, 1", "3 минуты", "power was cut"):
        assert told in page


async def test_a_notification_that_fits_nothing_is_shown(at_desk: Desk):
    await at_desk.fleet.db.write(stray_notification, at_desk.clock())
    page = await at_desk.page("/tech/cases")
    assert "bank-77" in page and "unmatched" in page


def stray_notification(now: int) -> Transaction[None]:
    stray = Notification("n-1", "yookassa", "payment.succeeded", "bank-77", "{}", now, now, "", 0, None)
    yield from payments.keep_notification(stray)
    yield Statement(
        "UPDATE notifications SET outcome = 'unmatched: no shop knows it', handled_at = $1", (now,)
    )


async def test_what_a_machine_says_cannot_become_a_script(at_desk: Desk):
    await at_desk.fleet.connect("dev-1", "error", Code.MACHINE_ERROR, "<script>alert(1)</script>")
    await at_desk.fleet.fail("dev-1", "order-1", said="<img src=x onerror=alert(1)>")
    for path in ("/tech/", "/tech/devices/dev-1", "/tech/?q=<script>alert(1)</script>"):
        page = await at_desk.page(path)
        assert "<script>alert" not in page and "<img src=x" not in page


@pytest.mark.parametrize("path", ["/tech/", "/tech/devices/dev-1", "/tech/cases", "/tech/?q=nothing"])
async def test_every_page_is_there_in_english_too(at_desk: Desk, path: str):
    await at_desk.fleet.connect("dev-1")
    await at_desk.fleet.lose_sight("dev-1", "order-1")
    response = await at_desk.client.get(path, headers={"Accept-Language": "en"})
    assert response.status == 200 and "Machines" in await response.text()


# --- errors -------------------------------------------------------------------------------------------


async def test_an_error_is_a_page_of_the_technicians_with_the_way_on(desk: Desk):
    await desk.sign_in()
    for path in ("/tech/nothing", "/tech/devices/nobody"):
        response = await desk.client.get(path)
        page = await response.text()
        assert response.status == 404
        assert 'class="technician"' in page and 'href="/tech/cases"' in page
    assert "anna" in page  # known by now, as on any other page
    response = await desk.client.post("/tech/logout", data={"csrf": "x" * 600_000})
    assert response.status == 413
    assert text("error.too_large") in await response.text()


async def test_a_form_of_another_site_is_told_so(desk: Desk):
    await desk.sign_in()
    response = await desk.client.post("/tech/logout", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status == 403
    assert text("error.other_site") in await response.text()

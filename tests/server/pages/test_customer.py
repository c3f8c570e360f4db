"""What customers ask. Each wrong thing has its status, its words, its log line and its count."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import pytest

from agent import wire
from server.fiscal import MerchantReceipt
from server.order import PAYABLE, Status
from server.texts import text
from tests.fakes.shop import MERCHANT, Answer, Shop, counted, machine

JSON = {"Content-Type": "application/json"}
ODD = {
    "nul": "dev-1\x00",
    "script": "<script>alert(1)</script>",
    "sql": "' OR 1=1 --",
    "path": "../../etc/passwd",
    "foreign": "кофе ☕",
    "broken": "\ufffd",
}


async def rows_of_everything(shop: Shop) -> list[Any]:
    return [
        [dict(row) for row in await shop.rows(f"SELECT * FROM {table}")]
        for table in ("orders", "order_events", "payments", "makes", "notifications", "cases")
    ]


class Refused:
    """A request that must be refused: used as `with`, it checks the count, the log and the database."""

    def __init__(self, shop: Shop, logs: list[Any], status: int, key: str) -> None:
        self.shop, self.logs, self.status, self.key = shop, logs, status, key

    async def __aenter__(self) -> "Refused":
        self._no_errors()
        self.logs.clear()
        self.before = await rows_of_everything(self.shop)
        self.count = counted("refused", reason=self.key)
        return self

    def answered(self, answer: Any) -> None:
        assert answer.status == self.status, answer.text
        words = text(f"error.{self.key}")
        assert answer.json == {"error": words} if answer.json else words in answer.text

    async def __aexit__(self, kind: Any, *_: object) -> None:
        if kind is None:
            assert counted("refused", reason=self.key) == self.count + 1
            refusals = [record for record in self.logs if record["event"] == "request refused"]
            assert [(record["status"], record["reason"]) for record in refusals] == [(self.status, self.key)]
            self._no_errors()
            assert await rows_of_everything(self.shop) == self.before

    def _no_errors(self) -> None:
        assert not any(record["log_level"] in ("error", "critical") for record in self.logs)


async def each_is_refused(
    shop: Shop,
    logs: list[Any],
    status: int,
    key: str,
    values: Iterable[Any],
    ask: Callable[[Any], Awaitable[Answer]],
) -> None:
    """Ask with one value after another, at one shop: none of them may leave a trace there."""
    for value in values:
        try:
            async with Refused(shop, logs, status, key) as refused:
                refused.answered(await ask(value))
        except AssertionError as error:
            error.add_note(f"asked with {value!r}")
            raise


# --- the link -------------------------------------------------------------------------------------------


PARAMETERS = ("deviceUuid", "drinkNo", "drinkName", "size", "uuid")


async def test_a_link_must_be_whole(shop: Shop, logs: list[Any]):
    links = [{name: value} for name in PARAMETERS for value in (None, "", "  ")]
    await each_is_refused(shop, logs, 400, "missing_parameters", links, lambda link: shop.scan(**link))


async def test_a_link_is_not_longer_than_any_honest_one(shop: Shop, logs: list[Any]):
    links = [{name: "x" * 256} for name in PARAMETERS]
    await each_is_refused(shop, logs, 400, "invalid_request", links, lambda link: shop.scan(**link))


async def test_a_size_is_one_of_three_numbers(shop: Shop, logs: list[Any]):
    sizes = ("3", "-1", "01", "1.0", "small", "٢", "²", "0\x00", "null")
    await each_is_refused(shop, logs, 400, "invalid_request", sizes, lambda size: shop.scan(size=size))


async def test_an_order_id_is_made_of_letters_and_digits(shop: Shop, logs: list[Any]):
    odd = ("a b", "a/b", "<b>", "заказ", "a\x00", "a\n", "a;b", "%", "\ufffd")
    await each_is_refused(shop, logs, 400, "invalid_order_id", odd, shop.scan)


async def test_what_is_not_sold_here_is_not_found(shop: Shop, logs: list[Any]):
    await shop.agent()
    odd = ODD.values()
    await each_is_refused(shop, logs, 404, "device_not_found", odd, lambda odd: shop.scan(deviceUuid=odd))
    await each_is_refused(shop, logs, 404, "drink_not_found", odd, lambda odd: shop.scan(drinkNo=odd))


async def test_a_size_without_a_price_is_not_sold(shop: Shop, logs: list[Any]):
    await shop.agent()
    async with Refused(shop, logs, 404, "drink_not_found") as refused:
        refused.answered(await shop.scan(size="2"))


async def test_a_machine_that_never_connected_does_not_sell(shop: Shop, logs: list[Any]):
    async with Refused(shop, logs, 503, "device_offline") as refused:
        refused.answered(await shop.scan())


async def test_an_order_id_of_another_order_is_refused(shop: Shop, logs: list[Any]):
    await shop.load(machine("dev-2"))
    await shop.agent()
    await shop.agent("dev-2")
    await shop.scan()
    others = ({"drinkNo": "latte"}, {"size": "1"}, {"deviceUuid": "dev-2"})
    await each_is_refused(shop, logs, 400, "order_mismatch", others, lambda other: shop.scan(**other))


async def test_an_expired_order_is_over(shop: Shop, logs: list[Any]):
    await shop.agent()
    await shop.scan()
    shop.later(15 * 60 + 1)
    await shop.becomes("failed")
    async with Refused(shop, logs, 400, "order_expired") as refused:
        refused.answered(await shop.scan())


async def test_bytes_that_are_no_text_are_refused(shop: Shop, logs: list[Any]):
    async with Refused(shop, logs, 404, "device_not_found") as refused:
        path = "/v1/pay?deviceUuid=%FF%ED%A0%80&drinkNo=1&drinkName=x&size=0&uuid=order-1"
        refused.answered(await shop.get(path))


# --- the order's page and status ----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/order-status/", "/v1/order-status-page?order_id="])
async def test_an_order_that_is_not_there(shop: Shop, logs: list[Any], path: str):
    await each_is_refused(shop, logs, 404, "order_not_found", [f"{path}order-9"], shop.get)
    odd = [path + order_id for order_id in ("%3Cb%3E", "a%00", "x" * 256, "%FF")]
    await each_is_refused(shop, logs, 400, "invalid_order_id", odd, shop.get)


async def test_a_page_needs_an_order(shop: Shop, logs: list[Any]):
    async with Refused(shop, logs, 400, "missing_order_id") as refused:
        refused.answered(await shop.get("/v1/order-status-page"))


async def test_an_unknown_machine_has_no_menu(shop: Shop, logs: list[Any]):
    async with Refused(shop, logs, 404, "device_not_found") as refused:
        refused.answered(await shop.get("/m/dev-9"))


async def test_the_menu_of_a_machine_that_is_away_says_so(shop: Shop):
    page = await shop.get("/m/dev-1")
    assert page.status == 200
    assert text("error.device_offline") in page.text and "/v1/pay?" not in page.text


# --- bodies -------------------------------------------------------------------------------------------

POSTS = pytest.mark.parametrize("path", ["/v1/initiate-payment", "/v1/manual-make", "/v1/yook-pay-webhook"])
BAD_BODIES = {
    "empty": b"",
    "broken": b'{"order_id": ',
    "array": b'["order-1"]',
    "number": b"5",
    "text": b'"order-1"',
    "null": b"null",
    "not utf-8": b'{"order_id": "\xff\xfe"}',
    "nul": b"\x00",
    "deep": b"[" * 60_000,
}


@POSTS
async def test_a_body_that_is_no_json_object(shop: Shop, logs: list[Any], path: str):
    bodies = BAD_BODIES.values()
    await each_is_refused(
        shop, logs, 400, "invalid_request", bodies, lambda body: shop.post(path, data=body, headers=JSON)
    )


@POSTS
async def test_a_body_of_another_type(shop: Shop, logs: list[Any], path: str):
    types = ("text/plain", "application/x-www-form-urlencoded", "application/xml")
    headers = [{"Content-Type": kind} for kind in types]
    body = b'{"order_id": "order-1"}'
    await each_is_refused(
        shop, logs, 415, "invalid_request", headers, lambda told: shop.post(path, data=body, headers=told)
    )


@POSTS
async def test_a_body_longer_than_any_honest_one(shop: Shop, logs: list[Any], path: str):
    async with Refused(shop, logs, 413, "too_large") as refused:
        body = b'{"order_id": "' + b"x" * 70_000 + b'"}'
        refused.answered(await shop.post(path, data=body, headers=JSON))


@pytest.mark.parametrize("path", ["/v1/initiate-payment", "/v1/manual-make"])
async def test_an_order_id_is_a_text_and_not_an_odd_one(shop: Shop, logs: list[Any], path: str):
    def post(order_id: object) -> Awaitable[Answer]:
        return shop.post(path, json={"order_id": order_id, "choice": "make"})

    no_texts = (5, 5.0, True, None, [], {}, ["order-1"])
    await each_is_refused(shop, logs, 400, "invalid_request", no_texts, post)
    odd = ("a b", "a\x00", "\ud800", "x" * 256, "заказ")
    await each_is_refused(shop, logs, 400, "invalid_order_id", odd, post)


@pytest.mark.parametrize("path", ["/v1/initiate-payment", "/v1/manual-make"])
async def test_an_order_must_be_named_and_known(shop: Shop, logs: list[Any], path: str):
    async with Refused(shop, logs, 400, "missing_order_id") as refused:
        refused.answered(await shop.post(path, json={"choice": "make"}))
    async with Refused(shop, logs, 404, "order_not_found") as refused:
        refused.answered(await shop.post(path, json={"order_id": "order-9", "choice": "make"}))


async def test_a_choice_is_drink_or_money(shop: Shop, logs: list[Any]):
    choices = ("", "drink", "MAKE", "make\x00")
    await each_is_refused(shop, logs, 400, "invalid_request", choices, shop.choose)


async def test_what_is_no_notification(shop: Shop, logs: list[Any]):
    told = [
        {},
        {"type": "notification"},
        {"type": "notification", "event": "payment.succeeded"},
        {"type": "notification", "event": "payment.succeeded", "object": {"id": 5}},
        {"type": "notification", "event": "payment.succeeded", "object": {"id": "../etc"}},
        {"type": "notification", "event": "payment.succeeded", "object": ["id"]},
        {"type": "notification", "event": "payment.\x00", "object": {"id": "2d7f"}},
        {"type": "notification", "event": 5, "object": {"id": "2d7f"}},
        {"type": "notification", "event": "payment.succeeded", "object": {"id": "\ud800"}},
    ]
    await each_is_refused(
        shop, logs, 400, "invalid_request", told, lambda body: shop.post("/v1/yook-pay-webhook", json=body)
    )


async def test_a_notification_of_something_else_is_acknowledged_and_forgotten(shop: Shop):
    told = {"type": "notification", "event": "deal.closed", "object": {"id": "2d7f"}}
    assert (await shop.post("/v1/yook-pay-webhook", json=told)).status == 200
    assert await shop.rows("SELECT * FROM notifications") == []


async def test_what_was_refused_can_be_done_right_afterwards(shop: Shop):
    await shop.agent()
    await shop.scan(size="9")
    await shop.post("/v1/initiate-payment", data=b"{", headers=JSON)
    assert (await shop.scan()).status == 302
    assert (await shop.initiate()).status == 200


# --- paying -------------------------------------------------------------------------------------------


async def test_what_is_not_to_be_paid_cannot_be_paid(shop: Shop, logs: list[Any]):
    await shop.agent()
    await shop.scan()
    for status in sorted(set(Status) - PAYABLE):
        await shop.change("UPDATE orders SET status = $1", status)
        await each_is_refused(shop, logs, 409, "order_not_payable", [status], lambda _: shop.initiate())
    assert await shop.rows("SELECT * FROM sandbox_payments") == []


async def test_a_paid_order_is_not_paid_again_also_when_its_machine_is_away(shop: Shop, logs: list[Any]):
    agent = await shop.agent()
    await shop.pay()
    await agent.make(await agent.hear(wire.Make))
    await shop.gone(agent)
    shop.later(40)
    assert (await shop.initiate()).status == 409


async def test_an_expired_order_cannot_be_paid(shop: Shop, logs: list[Any]):
    await shop.agent()
    await shop.finish(await shop.at_bank(), "canceled")
    await shop.becomes("not_paid")
    await shop.until_rows("SELECT 1 FROM notifications WHERE handled_at IS NOT NULL")
    shop.later(15 * 60 + 1)
    async with Refused(shop, logs, 400, "order_expired") as refused:
        refused.answered(await shop.initiate())


async def test_nothing_is_charged_for_a_machine_that_is_away(shop: Shop, logs: list[Any]):
    agent = await shop.agent()
    await shop.scan()
    await shop.gone(agent)
    shop.later(31)
    async with Refused(shop, logs, 503, "device_offline") as refused:
        refused.answered(await shop.initiate())


async def test_a_merchant_past_its_time_takes_no_money(shop: Shop, logs: list[Any]):
    await shop.agent()
    await shop.scan()
    await shop.change("UPDATE merchants SET valid_until = 1")
    async with Refused(shop, logs, 403, "merchant_expired") as refused:
        refused.answered(await shop.initiate())


@pytest.mark.parametrize("scenario", ["Yookassa", "YookassaReceipt", "TBank", "Custom"])
async def test_a_scenario_without_credentials_says_so(shop: Shop, logs: list[Any], scenario: str):
    await shop.agent()
    merchant = msgspec.structs.replace(MERCHANT, receipt=MerchantReceipt(vat_code=1, tax_system_code=2))
    await shop.load(machine(payment_scenario=scenario), merchant=merchant)
    await shop.scan()
    async with Refused(shop, logs, 503, "missing_credentials") as refused:
        refused.answered(await shop.initiate())


# --- everything else ----------------------------------------------------------------------------------


async def test_who_typed_the_bare_address_is_told_where_the_coffee_is(shop: Shop):
    answer = await shop.get("/")
    assert answer.status == 200
    assert text("page.home") in answer.text and 'href="/tech/"' in answer.text


async def test_a_path_or_method_that_is_not_there(shop: Shop, logs: list[Any]):
    paths = ("/v1/nothing", "/static/../server/settings.py", "/static/%2e%2e/settings.py")
    await each_is_refused(shop, logs, 404, "page_not_found", paths, shop.get)
    calls = (
        ("POST", "/v1/pay"),
        ("GET", "/v1/initiate-payment"),
        ("DELETE", "/v1/order-status/order-1"),
    )
    await each_is_refused(shop, logs, 405, "method_not_allowed", calls, lambda call: shop.call(*call))


async def test_an_error_nobody_foresaw_is_logged_whole(
    shop: Shop, logs: list[Any], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("server.pages.customer.check_order_id", fail)
    answer = await shop.get("/v1/order-status/order-1")
    assert (answer.status, answer.json) == (500, {"error": text("error.internal")})
    (record,) = [record for record in logs if record["log_level"] == "error"]
    assert record["event"] == "request failed" and str(record["exc_info"]) == "secret detail"


async def test_many_odd_requests_at_once_do_not_stop_the_sale(shop: Shop):
    agent = await shop.agent()
    odd = [shop.scan(value, size="7") for value in ODD.values()]
    odd += [shop.post("/v1/yook-pay-webhook", data=body, headers=JSON) for body in BAD_BODIES.values()]
    await asyncio.gather(*odd, shop.pay("order-1"))
    await agent.make(await agent.hear(wire.Make))
    await shop.becomes("successful")

"""The texts of T-Bank's API: published tokens, the samples of its documentation, and every spoiled body."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.payments import (
    Confirmation,
    Credentials,
    Declined,
    InDoubt,
    Misconfigured,
    NotFound,
    PaymentStatus,
    RefundStatus,
    RetryLater,
)
from server.payments import tbank_api as api

PASSWORD = "s3cret"
SHOP = Credentials("CoffeeDEMO", PASSWORD)
DUE_AT = 1_795_163_400_129
INIT = api.Init(
    order_id="p1",
    amount_minor=15000,
    description="Капучино\n300 мл",
    two_stage=False,
    due_at_ms=DUE_AT,
    notification_url="https://s.example/hook",
    success_url="https://s.example/o/1",
    fail_url="https://s.example/o/1?failed",
)
NOTICE: dict[str, Any] = {
    "TerminalKey": "CoffeeDEMO",
    "OrderId": "ord-1001",
    "Success": True,
    "Status": "CONFIRMED",
    "PaymentId": "4000000001",
    "ErrorCode": "0",
    "Amount": 15000,
}
STATE = {**NOTICE, "Message": "OK"}
CANCELED = {
    "TerminalKey": "CoffeeDEMO",
    "Success": True,
    "Status": "REFUNDED",
    "ErrorCode": "0",
    "PaymentId": "2167708",
    "OrderId": "ord-1001",
    "OriginalAmount": 15000,
    "NewAmount": 0,
}


def raw(told: Any) -> bytes:
    return json.dumps(told).encode()


def refused(code: Any, **about: Any) -> bytes:
    return raw({"Success": False, "ErrorCode": code, "Message": "Нет.", "Details": "Совсем.", **about})


@pytest.mark.parametrize(
    ("fields", "password", "expected"),
    [
        (
            {
                "TerminalKey": "MerchantTerminalKey",
                "Amount": 19200,
                "OrderId": "21090",
                "Description": "Подарочная карта на 1000 рублей",
                "DATA": {"Phone": "+71234567890", "Email": "a@test.com"},
                "Receipt": {"Items": [1]},
            },
            "usaf8fw8fsw21g",
            "0024a00af7c350a3a67ca168ce06502aa72772456662e38696d48b56ee9c97d9",
        ),
        (
            {
                "TerminalKey": "MerchantTerminalKey",
                "Amount": 19200,
                "OrderId": "00000",
                "Description": "Подарочная карта на 1000 рублей",
            },
            "11111111111111",
            "72dd466f8ace0a37a1f740ce5fb78101712bc0665d91a8108c7c8a0ccd426db2",
        ),
        (
            {
                "TerminalKey": "1234567890DEMO",
                "OrderId": "000000",
                "Success": True,
                "Status": "AUTHORIZED",
                "PaymentId": "0000000",
                "ErrorCode": "0",
                "Amount": 1111,
                "CardId": "000000",
                "Pan": "200000******0000",
                "ExpDate": "1111",
                "RebillId": "000000",
            },
            "11111111111",
            "1c0964277d0213349243065a0d5b838b8e90d2d25f740d0f2767836e710e80c8",
        ),
        (NOTICE, PASSWORD, "dc10a0166d1a51db3b9c78b1f6c2c4b7f7bd1a53c8183120629956cfeaa64ff2"),
    ],
)
def test_the_published_tokens_come_out(fields: dict[str, Any], password: str, expected: str):
    assert api.token(fields, password) == expected
    assert api.verify({**fields, "Token": expected}, password)


scalars = st.text(max_size=12) | st.integers() | st.booleans() | st.floats(allow_nan=False)
names = st.text(min_size=1, max_size=8).filter(lambda name: name not in ("Token", "Password"))
nested = st.none() | st.lists(scalars, max_size=2) | st.dictionaries(names, scalars, max_size=2)


@given(st.dictionaries(names, scalars), st.dictionaries(names, nested), st.randoms())
def test_the_order_and_what_is_nested_do_not_count(fields: dict[str, Any], more: dict[str, Any], chance: Any):
    shuffled = [*({**more, **fields}).items()]
    chance.shuffle(shuffled)
    assert api.token(dict(shuffled), PASSWORD) == api.token(fields, PASSWORD)


@given(st.dictionaries(names, scalars), names, st.text(min_size=1, max_size=12))
def test_a_field_that_is_added_or_a_password_that_is_another_spoils_the_token(
    fields: dict[str, Any], name: str, value: str
):
    signed = {**fields, "Token": api.token(fields, PASSWORD)}
    assert api.verify(signed, PASSWORD)
    assert not api.verify(signed, PASSWORD + value)
    assert name in fields or not api.verify({**signed, name: value}, PASSWORD)


def test_the_password_is_ours_also_when_a_field_has_its_name():
    assert api.token({**NOTICE, "Password": "guessed"}, PASSWORD) == api.token(NOTICE, PASSWORD)


def test_numbers_are_plain_and_booleans_small():
    as_texts = {"A": "true", "B": "false", "C": "100000000000000000000000", "D": "0.5"}
    assert api.token({"A": True, "B": False, "C": 1e23, "D": 0.5}, "") == api.token(as_texts, "")


@pytest.mark.parametrize("given_token", [None, 7, True, "", "\ud800", "dc10", ["x"]])
def test_what_is_no_token_is_refused(given_token: Any):
    assert not api.verify({**NOTICE, "Token": given_token}, PASSWORD)
    assert not api.verify(NOTICE, PASSWORD)


def test_a_payment_is_asked_for_with_its_deadline_and_addresses():
    body = json.loads(api.init_body(SHOP, INIT))
    assert api.verify(body, PASSWORD)
    del body["Token"]
    assert body == {
        "TerminalKey": "CoffeeDEMO",
        "Amount": 15000,
        "OrderId": "p1",
        "Description": "Капучино 300 мл",
        "PayType": "O",
        "RedirectDueDate": "2026-11-20T11:30:00+03:00",
        "NotificationURL": "https://s.example/hook",
        "SuccessURL": "https://s.example/o/1",
        "FailURL": "https://s.example/o/1?failed",
    }


def test_a_receipt_goes_with_the_body_and_not_into_the_token():
    receipt = {"Email": "a@b.example", "Taxation": "osn", "Items": []}
    held = replace(INIT, two_stage=True, receipt=receipt)
    body, bare = json.loads(api.init_body(SHOP, held)), json.loads(api.init_body(SHOP, INIT))
    assert (body["Receipt"], body["PayType"]) == (receipt, "T")
    assert api.verify(body, PASSWORD)
    assert body["Token"] == api.token({**bare, "PayType": "T"}, PASSWORD)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (api.get_state_body(SHOP, "7"), {"PaymentId": "7"}),
        (api.confirm_body(SHOP, "7", 100), {"PaymentId": "7", "Amount": 100}),
        (
            api.cancel_body(SHOP, "7", 100, "r1"),
            {"PaymentId": "7", "Amount": 100, "ExternalRequestId": "r1"},
        ),
        (api.check_order_body(SHOP, "p1"), {"OrderId": "p1"}),
        (api.get_qr_body(SHOP, "7"), {"PaymentId": "7", "DataType": "PAYLOAD"}),
    ],
)
def test_every_other_body_is_signed_and_says_no_more_than_needed(text: str, said: dict[str, Any]):
    body = json.loads(text)
    assert api.verify(body, PASSWORD)
    assert body == {"TerminalKey": "CoffeeDEMO", **said, "Token": body["Token"]}
    assert PASSWORD not in text


@pytest.mark.parametrize("amount_minor", [0, -1])
def test_an_amount_is_always_said_and_never_nothing(amount_minor: int):
    for ask in (
        lambda: api.init_body(SHOP, replace(INIT, amount_minor=amount_minor)),
        lambda: api.confirm_body(SHOP, "7", amount_minor),
        lambda: api.cancel_body(SHOP, "7", amount_minor, "r1"),
    ):
        with pytest.raises(ValueError, match="at least one kopeck"):
            ask()


@pytest.mark.parametrize("wrong", ["", "x" * 256])
def test_ids_that_t_bank_would_cut_or_refuse_are_not_sent(wrong: str):
    with pytest.raises(ValueError, match="characters"):
        api.check_order_body(SHOP, wrong)
    with pytest.raises(ValueError, match="characters"):
        api.cancel_body(SHOP, "7", 100, wrong)


def test_a_long_description_is_cut():
    body = json.loads(api.init_body(SHOP, replace(INIT, description="ы" * 300)))
    assert len(body["Description"]) == 140


def test_an_answer_that_succeeded_is_read():
    payment = api.payment(api.read_answer(200, raw(STATE)), two_stage=False)
    assert (payment.provider_payment_id, payment.status) == ("4000000001", PaymentStatus.SUCCEEDED)
    assert (payment.amount_minor, payment.currency, payment.refunded_minor) == (15000, "RUB", 0)
    assert (payment.account_id, payment.test) == ("CoffeeDEMO", True)
    assert (payment.metadata, payment.reason) == ({"payment_id": "ord-1001"}, "")


def test_the_looser_samples_of_the_documentation_are_read_too():
    loose = {**STATE, "Success": "true", "ErrorCode": 0, "PaymentId": 10063, "Amount": "15000"}
    payment = api.payment(api.read_answer(200, raw(loose)), two_stage=False)
    assert (payment.provider_payment_id, payment.amount_minor) == ("10063", 15000)


def test_where_the_customer_pays_is_a_web_address():
    link = "https://pay.example/new/AbCd"
    new = {**STATE, "Status": "NEW"}
    assert api.payment({**new, "PaymentURL": link}, False).confirmation == Confirmation("redirect", link)
    assert api.payment({**new, "PaymentURL": "javascript:alert(1)"}, False).confirmation is None


def test_a_payment_says_why_it_is_over_and_what_went_back():
    rejected = api.payment({**STATE, "Status": "REJECTED"}, two_stage=False)
    assert (rejected.status, rejected.reason) == (PaymentStatus.CANCELED, "REJECTED")
    back = {"REFUNDED": 15000, "ASYNC_REFUNDING": 15000, "PARTIAL_REFUNDED": 1, "CONFIRMED": 0, "REVERSED": 0}
    for status, minor in back.items():
        assert api.payment({**STATE, "Status": status}, two_stage=False).refunded_minor == minor


@pytest.mark.parametrize(
    ("status", "refund"),
    [
        ("REFUNDED", (RefundStatus.SUCCEEDED, 15000)),
        ("ASYNC_REFUNDING", (RefundStatus.PENDING, 15000)),
        ("PARTIAL_REFUNDED", (RefundStatus.SUCCEEDED, api.A_PART)),
        ("CONFIRMED", None),
        ("CANCELED", None),
        ("REVERSED", None),
    ],
)
def test_a_payment_that_is_asked_for_tells_of_its_refund(status: str, refund: Any):
    told = api.refund_told_of({**STATE, "Status": status})
    assert (told and (told.status, told.amount_minor)) == refund


def test_a_question_about_a_payment_that_has_failed_is_answered():
    told = refused("1051", Status="REJECTED", PaymentId="7", OrderId="p1", Amount=100, TerminalKey="T")
    payment = api.payment(api.read_answer(200, told, reading=True), two_stage=False)
    assert payment.status is PaymentStatus.CANCELED
    with pytest.raises(Declined):
        api.read_answer(200, told)


@pytest.mark.parametrize(
    ("code", "reading", "error"),
    [
        ("8", False, Declined),
        ("99", False, Declined),
        ("308", False, Declined),
        (309, False, Declined),
        ("255", False, Declined),
        ("255", True, NotFound),
        ("335", True, NotFound),
        ("202", False, Misconfigured),
        ("204", True, Misconfigured),
        ("331", True, Misconfigured),
        ("9999", False, InDoubt),
        ("402", False, RetryLater),
        ("3029", False, RetryLater),
    ],
)
def test_an_error_code_says_how_the_call_ended(code: Any, reading: bool, error: type[Exception]):
    with pytest.raises(error, match=f"error {code}: Нет. Совсем."):
        api.read_answer(200, refused(code), reading)


def test_a_refusal_keeps_its_code_and_patience_its_time():
    with pytest.raises(Declined) as declined:
        api.read_answer(200, refused("8"))
    assert declined.value.code == "8"
    with pytest.raises(RetryLater) as later:
        api.read_answer(200, refused("3030"))
    assert later.value.after_s == 24 * 3600


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, InDoubt), (502, InDoubt), (302, InDoubt), (404, InDoubt), (403, Misconfigured), (429, RetryLater)],
)
def test_an_answer_that_is_not_200_is_not_read(status: int, error: type[Exception]):
    with pytest.raises(error, match=str(status)):
        api.read_answer(status, raw(STATE))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"<html>",
        b"[]",
        b"[" * 50_000,
        b'{"Success": true, "ErrorCode": "0", "Amount": NaN}',
        raw({"Success": True, "ErrorCode": "8"}),
        raw({"Success": False, "ErrorCode": "0"}),
        raw({"Success": True}),
        raw({"ErrorCode": "8"}),
        raw(STATE)[:-9],
    ],
)
def test_an_answer_that_nobody_can_read_leaves_it_in_doubt(body: bytes):
    with pytest.raises(InDoubt):
        api.read_answer(200, body)


@pytest.mark.parametrize("name", ["PaymentId", "Status", "Amount", "OrderId", "TerminalKey"])
def test_what_money_depends_on_must_be_there(name: str):
    with pytest.raises(InDoubt):
        api.payment({other: value for other, value in STATE.items() if other != name}, two_stage=False)


@pytest.mark.parametrize("amount", [None, -1, True, 150.0, "150.00", "1e5", "", [], "９"])
def test_an_amount_is_kopecks(amount: Any):
    with pytest.raises(InDoubt):
        api.payment({**STATE, "Amount": amount}, two_stage=False)


def test_the_payments_of_an_order_are_listed():
    item = {
        "PaymentId": 7,
        "Amount": 100,
        "Status": "NEW",
        "Success": "true",
        "ErrorCode": 0,
        "Message": "ok",
    }
    order = {"TerminalKey": "CoffeeDEMO", "OrderId": "p1", "Payments": [{**item, "Status": "REJECTED"}, item]}
    found = api.payments_of_order(order, two_stage=False)
    assert [payment.status for payment in found] == [PaymentStatus.CANCELED, PaymentStatus.PENDING]
    assert [payment.metadata["payment_id"] for payment in found] == ["p1", "p1"]


@pytest.mark.parametrize("listed", [None, {}, ["x"], [{"PaymentId": "7"}]])
def test_a_list_that_cannot_be_read_leaves_it_in_doubt(listed: Any):
    with pytest.raises(InDoubt):
        api.payments_of_order({"TerminalKey": "T", "OrderId": "p1", "Payments": listed}, two_stage=False)


@pytest.mark.parametrize(
    ("told", "status", "amount_minor"),
    [
        (CANCELED, RefundStatus.SUCCEEDED, 15000),
        ({**CANCELED, "Status": "ASYNC_REFUNDING"}, RefundStatus.PENDING, 15000),
        ({**CANCELED, "Status": "PARTIAL_REFUNDED", "NewAmount": 10000}, RefundStatus.SUCCEEDED, 5000),
    ],
)
def test_a_refund_is_read_from_the_answer_to_cancel(told: Any, status: RefundStatus, amount_minor: int):
    refund = api.refund(told, "r1")
    assert (refund.provider_refund_id, refund.provider_payment_id) == ("r1", "2167708")
    assert (refund.status, refund.amount_minor, refund.currency) == (status, amount_minor, "RUB")


def test_an_answer_to_confirm_has_a_status_and_no_amount():
    assert api.confirmed({"Status": "CONFIRMED", "PaymentId": "7"}) is PaymentStatus.SUCCEEDED
    assert api.confirmed({"Status": "CONFIRMING", "PaymentId": "7"}) is PaymentStatus.PENDING
    with pytest.raises(InDoubt):
        api.confirmed({"PaymentId": "7"})


def test_a_code_holds_a_link():
    assert api.qr_link({"Data": "https://qr.nspk.ru/AS1"}) == "https://qr.nspk.ru/AS1"
    with pytest.raises(InDoubt):
        api.qr_link({"Data": "<svg>"})


def test_a_refund_that_cannot_be_read_leaves_it_in_doubt():
    with pytest.raises(InDoubt):
        api.refund({**CANCELED, "NewAmount": None}, "r1")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*NOTICE, "PaymentURL", "Token"]), json_values))
def test_any_answer_is_a_payment_or_in_doubt(spoiled: dict[str, Any]):
    try:
        payment = api.payment({**STATE, **spoiled}, two_stage=True)
    except InDoubt:
        return
    assert payment.amount_minor >= 0

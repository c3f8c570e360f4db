"""T-Bank's notifications: what they claim, whose they are, and every spoiled one."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.payments import Hint, NotANotification, OfNoConcern
from server.payments import tbank_api as api

PASSWORD = "s3cret"
NOTICE: dict[str, Any] = {
    "TerminalKey": "CoffeeDEMO",
    "OrderId": "ord-1001",
    "Success": True,
    "Status": "CONFIRMED",
    "PaymentId": "4000000001",
    "ErrorCode": "0",
    "Amount": 15000,
}


def raw(told: Any) -> bytes:
    return json.dumps(told).encode()


@pytest.mark.parametrize("payment_id", ["4000000001", 4000000001])
def test_a_notification_claims_and_gives_a_hint(payment_id: Any):
    fields = {**NOTICE, "PaymentId": payment_id, "Pan": "430000******0777", "Rate": 1.5}
    signed = {**fields, "Token": api.token(fields, PASSWORD)}
    told = api.parse_notification(raw(signed))
    assert (told.terminal_key, told.order_id, told.payment_id) == ("CoffeeDEMO", "ord-1001", "4000000001")
    assert (told.status, told.amount_minor) == ("CONFIRMED", 15000)
    assert api.verify(told.fields, PASSWORD)
    assert told.hint == Hint("CONFIRMED", "payment", "4000000001", "4000000001")


def test_a_notification_of_a_bound_card_is_of_no_concern():
    with pytest.raises(OfNoConcern):
        api.parse_notification(raw({**NOTICE, "NotificationType": "LINKCARD"}))


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b"", "JSON"),
        (b"OK", "JSON"),
        (b"[]", "object"),
        (raw({**NOTICE, "TerminalKey": None}), "TerminalKey"),
        (raw({**NOTICE, "OrderId": ""}), "OrderId"),
        (raw({**NOTICE, "OrderId": "x" * 51}), "OrderId"),
        (raw({**NOTICE, "PaymentId": "../7"}), "id"),
        (raw({**NOTICE, "PaymentId": True}), "id"),
        (raw({**NOTICE, "Status": "confirmed"}), "status"),
        (raw({**NOTICE, "Status": "CONFIRMED\n"}), "status"),
        (raw({**NOTICE, "Amount": -5}), "kopecks"),
        (raw({**NOTICE, "Pan": "x" * 70_000}), "longer"),
    ],
)
def test_what_is_no_notification_is_named(body: bytes, wrong: str):
    with pytest.raises(NotANotification, match=wrong):
        api.parse_notification(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=80) | json_values.map(raw))
def test_any_body_is_no_notification(body: bytes):
    with pytest.raises(NotANotification):
        api.parse_notification(body)


@given(st.dictionaries(st.sampled_from([*NOTICE, "Token"]), json_values))
def test_any_spoiled_notification_is_read_or_named_and_never_verified(spoiled: dict[str, Any]):
    signed = {**NOTICE, "Token": api.token(NOTICE, PASSWORD)}
    try:
        told = api.parse_notification(raw({**signed, **spoiled}))
    except NotANotification:
        return
    same = all(str(signed[name]) == str(value) for name, value in spoiled.items())
    assert api.verify(told.fields, PASSWORD) <= same

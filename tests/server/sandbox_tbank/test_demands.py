"""What the bank accepts, and which error code it gives when it does not."""

from typing import Any

import pytest

from server.payments.notation import instant_text
from server.sandbox_tbank import demands
from server.sandbox_tbank.demands import LIFE_LEAST_MS, LIFE_MOST_MS, LIFE_MS
from server.sandbox_tbank.refusals import WORDS, Refused

NOW = 1_795_163_400_129
INIT: dict[str, Any] = {"Amount": 15000, "OrderId": "p1"}


def init(**about: Any) -> demands.InitDemand:
    return demands.init_demand({**INIT, **about}, NOW, receipts_required=False)


def test_an_init_of_two_fields_is_paid_in_one_stage_within_a_day():
    demand = init()
    assert (demand.amount_minor, demand.order_id, demand.two_stage) == (15000, "p1", False)
    assert demand.due_at == NOW + LIFE_MS
    assert (demand.notification_url, demand.success_url, demand.fail_url) == ("", "", "")


def test_an_init_says_how_and_until_when_it_is_paid():
    demand = init(PayType="T", RedirectDueDate="2026-11-20T11:45:00+03:00", FailURL="http://s.example/")
    assert (demand.two_stage, demand.fail_url) == (True, "http://s.example/")
    assert instant_text(demand.due_at) == "2026-11-20T08:45:00.000Z"


@pytest.mark.parametrize("life_ms", [LIFE_LEAST_MS, LIFE_MOST_MS])
def test_a_deadline_is_at_its_bounds(life_ms: int):
    assert init(RedirectDueDate=instant_text(NOW + life_ms)).due_at == NOW + life_ms


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"Amount": None}, "251"),
        ({"Amount": 99}, "251"),
        ({"Amount": -15000}, "251"),
        ({"Amount": True}, "251"),
        ({"Amount": "15000"}, "251"),
        ({"Amount": "150.5"}, "251"),
        ({"Amount": 350_000_01}, "251"),
        ({"OrderId": ""}, "201"),
        ({"OrderId": 1}, "212"),
        ({"OrderId": "x" * 51}, "212"),
        ({"Description": "x" * 141}, "213"),
        ({"PayType": "X"}, "1"),
        ({"PayType": ["O"]}, "1"),
        ({"NotificationURL": "ftp://s.example/"}, "1"),
        ({"SuccessURL": "javascript:alert(1)"}, "1"),
        ({"FailURL": "https://s.example/\r\nX: 1"}, "1"),
        ({"RedirectDueDate": "tomorrow"}, "12"),
        ({"RedirectDueDate": None}, "12"),
        ({"RedirectDueDate": "2026-11-20T11:45:00"}, "12"),
        ({"RedirectDueDate": instant_text(NOW + LIFE_LEAST_MS - 1)}, "12"),
        ({"RedirectDueDate": instant_text(NOW + LIFE_MOST_MS + 1)}, "12"),
        ({"RedirectDueDate": instant_text(NOW - 1)}, "12"),
        ({"Receipt": {}}, "309"),
        ({"Receipt": None}, "309"),
    ],
)
def test_a_wrong_init_has_a_code_with_words(wrong: dict[str, Any], code: str):
    with pytest.raises(Refused) as refused:
        init(**wrong)
    assert refused.value.code == code
    assert refused.value.body()["Message"] == WORDS[code]


@pytest.mark.parametrize("value", [None, "", "abc", "1" * 21, True, 1.5, ["7"], -7])
def test_an_id_is_digits(value: Any):
    with pytest.raises(Refused) as refused:
        demands.payment_id({"PaymentId": value})
    assert refused.value.code == "201"


def test_a_cancel_may_be_of_everything_and_without_a_name():
    assert demands.cancel_demand({"PaymentId": 7}) == ("7", None, "", None)
    with pytest.raises(Refused):
        demands.cancel_demand({"PaymentId": 7, "ExternalRequestId": "x" * 256})


def test_a_refusal_that_has_no_words_is_an_error_all_the_same():
    assert Refused("4711").body() == {
        "Success": False,
        "ErrorCode": "4711",
        "Message": "Ошибка.",
        "Details": "Ошибка.",
    }

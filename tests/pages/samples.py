"""Every page in every state, with data as it comes from the field: long names, long texts, gaps."""

from typing import Any

from markupsafe import Markup

from agent.wire import Code
from server import texts
from server.order import Status

NOW = "2026-11-23T09:00:00+00:00"
LONG_PLACE = "Бизнес-центр «Преображенский-Сокольнический», корпус 12, 3-й этаж, у лифтового холла"
CALL = 'Позвоните <a href="tel:+74951234567">+7 495 123-45-67</a>, мы на связи с 8:00 до 22:00.'
LOGO = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='180' height='60'%3E"
    "%3Crect width='180' height='60' rx='30' fill='%23b5562f'/%3E%3C/svg%3E"
)
PLACE_TEXTS = (
    "",
    "_pending",
    "_paid",
    "_not_paid",
    "_make_pending",
    "_manual_make",
    "_successful",
    "_make_failed",
)


RECEIPT: dict[str, Any] = {
    "kind": "payment",
    "status": "succeeded",
    "qr": "/v1/order-receipt/order/1",
    "numbers": "ФН 9999078900000001 ФД 42 ФПД 0123456789",
}


def order(status: str = "created", **changes: Any) -> dict[str, Any]:
    """Return the status JSON of an order; `failure` may be given as a code, and `device` as its changes."""
    device: dict[str, Any] = {f"client_info{suffix}": None for suffix in PLACE_TEXTS}
    device |= {"location": "ул. Ленина, 1", "logo_url": None}
    device |= changes.pop("device", {})
    code = changes.pop("failure", None)
    failure = code and {"code": code, "text": texts.failure_customer(code)}
    return {
        "order_id": "20261123090000123ba6d7-9ace-cndn",
        "status": status,
        "drink_name": "Эспрессо",
        "drink_size": "маленький",
        "price": 90,
        "expires_at": "2026-11-23T09:15:00+00:00",
        "payment_scenario": "Sandbox",
        "is_receipt_mandatory": False,
        "receipt_email": None,
        "methods": ["card", "sbp"],
        "pay_at": None,
        "money": None,
        "receipts": [],
        "device": device,
        "status_text": texts.text(f"status.{status}"),
        "failure": failure,
        "refund_status": None,
        "updated_at": NOW,
    } | changes


def order_page(status: str = "created", **changes: Any) -> tuple[str, dict[str, Any]]:
    """Return the template and context of the order's page."""
    own = {name: changes.pop(name) for name in ("lang", "expired") if name in changes}
    return "customer/order.html", {
        "order": order(status, **changes),
        "merchant_name": "Кофе у дома",
        "now": NOW,
        **own,
    }


def drinks(lang: str = "ru") -> list[dict[str, Any]]:
    """Return a menu: one size, three sizes, long names, dear drinks."""
    names = ["Эспрессо", "Капучино", "Раф «Лавандово-апельсиновый» на кокосовом молоке", "Какао"]
    sizes = [(0,), (0, 1, 2), (1, 2), (0, 1)]
    return [
        {
            "drink_no": str(number),
            "name": name,
            "sizes": [
                {
                    "no": size,
                    "label": texts.text(f"size.{('small', 'medium', 'large')[size]}", lang),
                    "price_text": f"{90 + 30 * size + 40 * number}\u00a0₽",
                    "href": f"/v1/pay?deviceUuid=dev-1&drinkNo={number}&size={size}&uuid=u{number}{size}",
                }
                for size in offered
            ],
        }
        for number, (name, offered) in enumerate(zip(names, sizes, strict=True))
    ]


def device(**changes: Any) -> dict[str, Any]:
    """Return the device of a menu."""
    return {
        "device_uuid": "dev-1",
        "location": "ул. Ленина, 1",
        "merchant_name": "Кофе у дома",
        "logo_url": None,
        "client_info": "",
        "client_error_info": Markup(CALL),
        "selling": True,
        "why_not": "",
    } | changes


def failure(code: Code, **changes: Any) -> dict[str, Any]:
    """Return a failure as technicians' pages list it."""
    told = texts.FAILURES[code]
    return {
        "at_text": "сегодня, 12:04",
        "at_iso": NOW,
        "order_id": "20261123090000123ba6d7-9ace-cndn",
        "drink_name": "Капучино",
        "size": "средний",
        "price_text": "120\u00a0₽",
        "code": code,
        "text": told.technician.ru,
        "action": told.action.ru,
        "said": "ic:8120 an:error 24 (BREW UNIT)",
        "severity": told.severity,
        "transition": "make_pending → make_failed",
        "refund_status": "succeeded",
        "outcome": "не приготовлен (доказано счётчиком)",
    } | changes


def machine(**changes: Any) -> dict[str, Any]:
    """Return a machine as technicians' pages list it."""
    return {
        "device_uuid": "dev-1",
        "location": "ул. Ленина, 1",
        "merchant_name": "Кофе у дома",
        "online": True,
        "since_text": "с 12:04, 3 ч",
        "machine_state": "ready",
        "state_text": texts.text("machine.ready"),
        "machine_model": "Jura E8 (EF532M V02.03)",
        "machine_code": None,
        "machine_said": "",
        "stops_selling": False,
        "last_failure": None,
        "open_cases": 0,
    } | changes


BROKEN = machine(
    location=LONG_PLACE,
    device_uuid="dev-0000-4f5c-8d1e-aaaaaaaaaaaa",
    machine_state="error",
    state_text=texts.text("machine.error"),
    machine_code="no_water",
    machine_said="ic:8120 fill water tank",
    stops_selling=True,
    open_cases=2,
    last_failure=failure(Code.NO_WATER),
)
FLEET = [
    BROKEN,
    machine(
        online=False,
        machine_state="unknown",
        since_text="с 08:12, 7 ч",
        last_failure=failure(Code.POWER_LOSS, said=""),
        stops_selling=True,
    ),
    machine(machine_state="busy"),
    machine(location="Вокзал, зал ожидания", last_failure=failure(Code.AGENT_REJECTED_BUSY, said="")),
]
DESK = {"user": {"name": "Мария Техник", "role": "technician"}, "csrf": "token"}
ACTIONS = [
    {"name": "made", "label": "Напиток вышел", "needs_reason": True, "danger": False},
    {"name": "refund", "label": "Вернуть деньги", "needs_reason": True, "danger": True},
    {"name": "again", "label": "Приготовить снова", "needs_reason": False, "danger": False},
]
CASE = {
    "case_id": "case-1",
    "kind": "outcome_unknown",
    "kind_text": texts.text("case.outcome_unknown"),
    "order_id": "20261123090000123ba6d7-9ace-cndn",
    "device_uuid": "dev-1",
    "location": LONG_PLACE,
    "drink_name": "Капучино, средний",
    "price_text": "120\u00a0₽",
    "age_text": "2 ч 14 мин",
    "opened_text": "сегодня, 09:50",
    "code": "power_loss",
    "said": "ic:8120",
    "refund_status": None,
    "detail": "power_loss: напиток начат в 09:48, устройство перезапустилось в 09:49",
    "status": texts.text("status.make_pending"),
    "actions": ACTIONS,
}
VALUES = {
    "client_info_make_failed": CALL,
    "client_info": "<b>Кофе</b> свежей обжарки.",
    "logo_url": "http://x",
}
MACHINE_PAGE: dict[str, Any] = {
    "machine": BROKEN,
    "failures": [failure(Code.NO_WATER), failure(Code.POWER_LOSS, refund_status="pending")],
    "newer_href": None,
    "older_href": "?before=17",
    "values": VALUES,
    "previews": {},
    "errors": {},
    "seen": "fingerprint",
    "saved": False,
    **DESK,
}
SANDBOX = {"id": "2d0c1b5a-000f-5000-9000-1b2c3d4e5f60", "amount_text": "90\u00a0₽", "status": "pending"}
SANDBOX["description"] = "Оплата напитка: Эспрессо"
LONG_TEXT = f"<p><b>Внимание!</b> {'Мы переехали на другой этаж и скоро вернёмся. ' * 8}</p><p>{CALL}</p>"

STATES: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"order-{status.value}": order_page(status.value) for status in Status if status != Status.MAKE_FAILED
    },
    "order-created-full": order_page(
        drink_name="Раф «Лавандово-апельсиновый» на кокосовом молоке",
        price=1290.5,
        is_receipt_mandatory=True,
        receipt_email="required",
        device={"location": LONG_PLACE, "logo_url": LOGO, "client_info": LONG_TEXT},
    ),
    "order-created-en": order_page(
        lang="en", status_text=texts.text("status.created", "en"), drink_size="small"
    ),
    "order-created-optional-email": order_page(receipt_email="optional"),
    "order-pending-sbp": order_page(
        "pending", pay_at={"kind": "qr", "url": "/bank", "qr": "/v1/order-qr/order?attempt=1"}
    ),
    "order-paid-held": order_page("paid", money="held"),
    "order-make_failed-releasing": order_page(
        "make_failed", failure=Code.NO_WATER, refund_status="pending", money="held"
    ),
    "order-make_failed-released": order_page(
        "make_failed", failure=Code.NO_WATER, refund_status="succeeded", money="released"
    ),
    "order-successful-receipt": order_page("successful", receipts=[RECEIPT]),
    "order-make_failed-receipts": order_page(
        "make_failed",
        failure=Code.NO_WATER,
        refund_status="succeeded",
        receipts=[RECEIPT, RECEIPT | {"kind": "refund", "status": "pending", "qr": None, "numbers": None}],
    ),
    "order-successful-no-receipt": order_page(
        "successful", receipts=[RECEIPT | {"status": "canceled", "qr": None, "numbers": None}]
    ),
    "order-expired": order_page(expired=True, expires_at="2026-11-23T08:59:00+00:00"),
    "order-unknown": order_page("make_pending", failure=Code.TIMEOUT_NO_RESULT),
    "order-make_failed-refunding": order_page(
        "make_failed",
        failure=Code.NO_WATER,
        refund_status="pending",
        device={"client_info_make_failed": CALL, "logo_url": LOGO},
    ),
    "order-make_failed-refunded": order_page(
        "make_failed", failure=Code.SERIAL_OPEN_FAILED, refund_status="succeeded"
    ),
    "order-make_failed-stuck": order_page("make_failed", failure=Code.MACHINE_ERROR, refund_status="failed"),
    "menu": ("customer/menu.html", {"device": device(client_info=Markup(CALL)), "drinks": drinks()}),
    "menu-en": ("customer/menu.html", {"device": device(), "drinks": drinks("en"), "lang": "en"}),
    "home": ("customer/home.html", {}),
    "home-en": ("customer/home.html", {"lang": "en"}),
    "menu-stopped": (
        "customer/menu.html",
        {
            "device": device(selling=False, why_not=texts.text("error.device_offline"), logo_url=LOGO),
            "drinks": drinks(),
        },
    ),
    "error": (
        "customer/error.html",
        {"title": None, "message": texts.text("error.device_offline"), "device": device(), "retry_href": "?"},
    ),
    "error-plain": (
        "customer/error.html",
        {"title": None, "message": texts.text("error.page_not_found"), "device": None, "retry_href": None},
    ),
    "sandbox": ("sandbox/pay.html", {"payment": SANDBOX, "shop_name": "Кофе у дома"}),
    "sandbox-over": (
        "sandbox/pay.html",
        {"payment": SANDBOX | {"status": "succeeded"}, "shop_name": "Кофе у дома"},
    ),
    "tech-login": (
        "technician/login.html",
        {"error": texts.text("error.wrong_login"), "csrf": "t", "next": "/tech/"},
    ),
    "tech-error": ("technician/error.html", {"message": texts.text("error.form_expired"), **DESK}),
    "tech-error-stranger": (
        "technician/error.html",
        {"message": texts.text("error.page_not_found"), "user": None, "csrf": ""},
    ),
    "tech-machines": ("technician/machines.html", {"machines": FLEET, "q": "Ленина", **DESK}),
    "tech-machines-none": ("technician/machines.html", {"machines": [], "q": "", **DESK}),
    "tech-machine": (
        "technician/machine.html",
        MACHINE_PAGE
        | {
            "previews": {"client_info_make_failed": Markup(CALL)},
            "errors": {"logo_url": texts.text("error.bad_logo_url")},
        },
    ),
    "tech-machine-saved": ("technician/machine.html", MACHINE_PAGE | {"saved": True, "failures": []}),
    "tech-cases": (
        "technician/cases.html",
        {"cases": [CASE, CASE | {"case_id": "case-2", "refund_status": "failed"}], **DESK},
    ),
    "tech-cases-none": ("technician/cases.html", {"cases": [], **DESK}),
}
"""What can be seen, by a name for its picture: the template and its context."""

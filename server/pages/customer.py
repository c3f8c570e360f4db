"""What customers see and do: the menu, the order, its payment, the choice after a late payment."""

import io
import secrets
from typing import Any
from urllib.parse import urlencode

import aiohttp_jinja2
import segno
from aiohttp import hdrs, web

from server import keys
from server.choice import choose
from server.custom import CUSTOM, custom_address
from server.errors import BadRequest, NotFound, Unavailable
from server.fiscal import is_email
from server.moments import instant
from server.money import price_text
from server.order_facts import Facts
from server.pages.language import language
from server.pages.order_view import code_of, status_json
from server.pages.parse import json_object
from server.pages.security import show_logo
from server.payments import Method
from server.sale import SIZES, check_order_id, read_link
from server.sanitise import sanitise
from server.settlement import Wish, check_payable
from server.store import devices, orders, payments
from server.store.rows import Device, Drink
from server.texts import text


def routes() -> list[web.RouteDef]:
    """Return every route of the customers."""
    return [
        web.get("/", home),
        web.get("/m/{device_uuid}", menu),
        web.get("/v1/pay", pay),
        web.get("/v1/yook-pay", pay),
        web.get("/v1/tbank-pay", pay),
        web.post("/v1/initiate-payment", initiate_payment),
        web.get("/v1/order-status-page", order_page),
        web.get("/v1/order-status/{order_id}", order_status),
        web.get("/v1/order-qr/{order_id}", order_qr),
        web.get("/v1/order-receipt/{order_id}/{number}", order_receipt),
        web.post("/v1/manual-make", manual_make),
    ]


async def home(request: web.Request) -> web.Response:
    """What who typed the bare address finds: the way to a machine's menu."""
    return aiohttp_jinja2.render_template("customer/home.html", request, {"lang": language(request)})


async def menu(request: web.Request) -> web.Response:
    """The machine's menu: what a code glued to it opens."""
    sale, lang = request.app[keys.SALE], language(request)
    device = await sale.device(request.match_info["device_uuid"])
    why_not = await sale.why_not(device.device_uuid)
    drinks = await request.app[keys.DB].glance(devices.menu, device.device_uuid)
    show_logo(request, device)
    context = {
        "lang": lang,
        "device": {
            "device_uuid": device.device_uuid,
            "location": device.location,
            "merchant_name": device.merchant_name,
            "logo_url": device.logo_url,
            "client_info": sanitise(device.client_info) or "",
            "selling": why_not is None,
            "why_not": text("error.device_offline", lang) if why_not else "",
        },
        "drinks": [_menu_drink(device, drink, lang) for drink in drinks],
    }
    return aiohttp_jinja2.render_template("customer/menu.html", request, context)


def _menu_drink(device: Device, drink: Drink, lang: str) -> dict[str, Any]:
    sizes = [
        {
            "no": number,
            "label": text(f"size.{size}", lang),
            "price_text": price_text(drink.prices[size]),
            "href": _order_link(device, drink, number),
        }
        for number, size in enumerate(SIZES)
        if size in drink.prices
    ]
    return {"drink_no": drink.drink_no, "name": drink.name, "sizes": sizes}


def _order_link(device: Device, drink: Drink, size: int) -> str:
    """Return a link that makes a new order; pressed twice, it finds the same one again."""
    parameters = {
        "deviceUuid": device.device_uuid,
        "drinkNo": drink.drink_no,
        "drinkName": drink.name,
        "size": size,
        "uuid": f"m-{secrets.token_urlsafe(18)}",
    }
    return f"/v1/pay?{urlencode(parameters)}"


async def pay(request: web.Request) -> web.Response:
    """A scanned link: make the order, or find it again, and go to its page."""
    order = await request.app[keys.SALE].order_of(read_link(request.query))
    raise web.HTTPFound(f"/v1/order-status-page?{urlencode({'order_id': order.order_id})}")


async def order_page(request: web.Request) -> web.Response:
    """The order's page; its script goes on from the state it is shown in."""
    facts = await _facts(request, request.query.get("order_id", ""))
    order, device = facts.order, facts.device
    show_logo(request, device)
    state, now = status_json(facts, language(request)), request.app[keys.NOW_MS]()
    context = {
        "lang": language(request),
        "order": state,
        "merchant_name": device.merchant_name,
        "expired": now > order.expires_at,
        "now": instant(now),
    }
    return aiohttp_jinja2.render_template("customer/order.html", request, context)


async def order_status(request: web.Request) -> web.Response:
    """The order as JSON: the predecessor's fields, and ours."""
    order_id = check_order_id(request.match_info["order_id"])
    body = await request.app[keys.STATUS_ANSWERS].answer(order_id, language(request))
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def order_qr(request: web.Request) -> web.Response:
    """The link of a payment under way by SBP as a picture, to be scanned with the customer's phone."""
    order_id = (await _facts(request, request.match_info["order_id"])).order.order_id
    payment = await request.app[keys.DB].glance(payments.waiting, order_id)
    if payment is None or payment.confirmation_kind != "qr" or payment.confirmation_url is None:
        raise NotFound("page_not_found", f"order {order_id} has nothing to scan")
    return _picture(payment.confirmation_url)


async def order_receipt(request: web.Request) -> web.Response:
    """The code of a registered receipt, for the customer and for whoever checks it."""
    facts = await _facts(request, request.match_info["order_id"])
    numbered = {str(number): receipt for number, receipt in enumerate(facts.receipts, 1)}
    receipt = numbered.get(request.match_info["number"])
    if receipt is None or receipt.status != "succeeded":
        raise NotFound("page_not_found", f"order {facts.order.order_id} has no such registered receipt")
    return _picture(code_of(receipt))


def _picture(said: str) -> web.Response:
    """Return a QR code; its white edge makes it readable on a dark page too."""
    picture = io.BytesIO()
    code = segno.make(said, micro=False)
    code.save(picture, kind="svg", xmldecl=False, scale=4, border=4, omitsize=True, light="#fff")
    headers = {hdrs.CACHE_CONTROL: "private, max-age=300"}
    svg = picture.getvalue().decode()
    return web.Response(text=svg, content_type="image/svg+xml", headers=headers)


async def _facts(request: web.Request, order_id: str) -> Facts:
    return await request.app[keys.ARCHIVES].facts(check_order_id(order_id))


async def initiate_payment(request: web.Request) -> web.Response:
    """Start the payment of an order and say where to pay."""
    fields = await json_object(request)
    order_id = check_order_id(_text_field(fields, "order_id"))
    order = await request.app[keys.DB].glance(orders.get, order_id)
    if order is None:
        raise NotFound("order_not_found", order_id)
    check_payable(order, request.app[keys.NOW_MS]())
    device = await request.app[keys.SALE].selling_device(order.device_uuid)
    if order.payment_scenario == CUSTOM:
        return web.json_response({"redirect_url": custom_address(device, order), "kind": "redirect"})
    confirmation = await request.app[keys.CHECKOUT].begin_payment(device, order, _wish(fields))
    return web.json_response({"redirect_url": confirmation.url, "kind": confirmation.kind})


def _wish(fields: dict[str, Any]) -> Wish:
    """Return how the customer wants to pay. Raises BadRequest."""
    method, email = _text_field(fields, "method") or Method.CARD, _text_field(fields, "email").strip()
    if method not in set(Method):
        raise BadRequest("invalid_request", f"method must be card or sbp, not {method[:20]!r}")
    if email and not is_email(email):
        raise BadRequest("invalid_email", "the address does not look like one")
    return Wish(Method(method), email or None)


async def manual_make(request: web.Request) -> web.Response:
    """After a late payment: the customer wants the drink now, or the money back."""
    fields = await json_object(request)
    order_id = check_order_id(_text_field(fields, "order_id"))
    wanted = _text_field(fields, "choice")
    if wanted not in ("make", "refund"):
        raise BadRequest("invalid_request", f"choice must be make or refund, not {wanted[:20]!r}")
    order = await request.app[keys.DB].glance(orders.get, order_id)
    if order is None:
        raise NotFound("order_not_found", order_id)
    if wanted == "make":
        why = await request.app[keys.SALE].why_not(order.device_uuid)
        if why is not None:
            raise Unavailable("device_offline", why, order.device_uuid)
    now = request.app[keys.NOW_MS]()
    change = await request.app[keys.DB].write(
        choose, request.app[keys.RULES], order_id, wanted == "make", now
    )
    request.app[keys.FOLLOW](change)
    return web.json_response({})


def _text_field(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise BadRequest("invalid_request", f"{name} must be a text")
    return value

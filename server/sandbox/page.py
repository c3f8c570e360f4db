"""The sandbox bank's payment page: the customer pays or is refused at the press of a button."""

from contextlib import suppress
from typing import Any

import aiohttp_jinja2
from aiohttp import hdrs, web

from server.money import price_text
from server.payments.notation import minor_units
from server.sandbox import bank, words
from server.sandbox.checks import Refused
from server.sandbox.teller import Teller
from server.texts import choose_language, text

PATH = "/sandbox/pay/"

TEMPLATE = "sandbox/pay.html"
NO_SUCH_PAYMENT = text("sandbox.no_such_payment")
NO_SUCH_RESULT = text("sandbox.no_such_result")


class Page:
    """The routes of the payment page over a `Teller`."""

    def __init__(self, teller: Teller, shop_name: str) -> None:
        self._teller = teller
        self._shop_name = shop_name

    def routes(self) -> list[web.RouteDef]:
        """Return the page and the address of its form, which is the same."""
        return [web.get(PATH + "{payment_id}", self._show), web.post(PATH + "{payment_id}", self._finish)]

    async def _show(self, request: web.Request) -> web.Response:
        payment = await self._teller.payment(request.match_info["payment_id"])
        if payment is None:
            return _readable(404, NO_SUCH_PAYMENT)
        context = {
            "lang": choose_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, "")),
            "payment": for_page(payment),
            "shop_name": self._shop_name,
            "words": words,
        }
        return aiohttp_jinja2.render_template(TEMPLATE, request, context)

    async def _finish(self, request: web.Request) -> web.Response:
        payment = await self._teller.payment(request.match_info["payment_id"])
        if payment is None:
            return _readable(404, NO_SUCH_PAYMENT)
        result, method = await _chosen_result(request), request.query.get("method", "")
        if result not in ("succeeded", "canceled") or (method and method not in bank.methods(payment)):
            return _readable(400, NO_SUCH_RESULT)
        with suppress(Refused):  # pressed twice, or too late: the payment has ended, as its page tells
            if result == "succeeded":
                await self._teller.pay(payment["id"], method)
            else:
                await self._teller.decline(payment["id"])
        raise web.HTTPSeeOther(payment["private"]["return_url"] or request.path)


def for_page(payment: Any) -> dict[str, Any]:
    """Return what the page shows: `methods` are open to the customer, `method` is chosen or was used."""
    open_methods = bank.methods(payment)
    used = payment.get("payment_method", {}).get("type", "")
    return {
        "id": payment["id"],
        "amount_text": price_text(minor_units(payment["amount"]["value"])),
        "description": payment.get("description", ""),
        "status": payment["status"],
        "return_url": payment["private"]["return_url"],
        "methods": open_methods,
        "method": used or (open_methods[0] if len(open_methods) == 1 else ""),
        "is_hold": not payment["private"]["capture"],
    }


async def _chosen_result(request: web.Request) -> str:
    try:
        return str((await request.post()).get("result", ""))
    except ValueError:
        return ""


def _readable(status: int, told: str) -> web.Response:
    return web.Response(status=status, text=told)

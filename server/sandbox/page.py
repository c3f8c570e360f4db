"""The sandbox bank's payment page: the customer pays or is refused at the press of a button."""

from contextlib import suppress
from typing import Any

import aiohttp_jinja2
from aiohttp import web

from server.money import price_text
from server.payments.notation import minor_units
from server.sandbox.demands import Refused
from server.sandbox.teller import Teller
from server.texts import text

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
        context = {"payment": _for_page(payment), "shop_name": self._shop_name}
        return aiohttp_jinja2.render_template(TEMPLATE, request, context)

    async def _finish(self, request: web.Request) -> web.Response:
        payment = await self._teller.payment(request.match_info["payment_id"])
        if payment is None:
            return _readable(404, NO_SUCH_PAYMENT)
        result = await _chosen_result(request)
        if result not in ("succeeded", "canceled"):
            return _readable(400, NO_SUCH_RESULT)
        with suppress(Refused):  # pressed twice, or too late: the payment has ended, as its page tells
            await (self._teller.pay if result == "succeeded" else self._teller.decline)(payment["id"])
        raise web.HTTPSeeOther(payment["private"]["return_url"])


async def _chosen_result(request: web.Request) -> str:
    try:
        return str((await request.post()).get("result", ""))
    except ValueError:
        return ""


def _for_page(payment: Any) -> dict[str, str]:
    return {
        "id": payment["id"],
        "amount_text": price_text(minor_units(payment["amount"]["value"])),
        "description": payment.get("description", ""),
        "status": payment["status"],
        "return_url": payment["private"]["return_url"],
    }


def _readable(status: int, words: str) -> web.Response:
    return web.Response(status=status, text=words)

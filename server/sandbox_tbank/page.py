"""The sandbox T-Bank's payment page: the customer pays or is refused at the press of a button.

Both the link of `Init` and that of `GetQr` lead here.
"""

from contextlib import suppress

import aiohttp_jinja2
from aiohttp import hdrs, web

from server.money import price_text
from server.payments import PaymentStatus
from server.payments.tbank_codes import payment_status
from server.sandbox_tbank.bank import Payment
from server.sandbox_tbank.refusals import Refused
from server.sandbox_tbank.teller import Teller
from server.texts import choose_language, text

PATH = "/sandbox/tbank/pay/"

TEMPLATE = "sandbox/tbank_pay.html"


class Page:
    """The routes of the payment page over a `Teller`."""

    def __init__(self, teller: Teller, shop_name: str) -> None:
        self._teller = teller
        self._shop_name = shop_name

    def routes(self) -> list[web.RouteDef]:
        """Return the page and the address of its form, which is the same."""
        path = PATH + "{payment_id:[0-9]{1,20}}"
        return [web.get(path, self._show), web.post(path, self._finish)]

    async def _show(self, request: web.Request) -> web.Response:
        lang = choose_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        try:
            payment = await self._teller.show(request.match_info["payment_id"])
        except Refused:
            return web.Response(status=404, text=text("sandbox.no_such_payment", lang))
        context = {"lang": lang, "payment": _for_page(payment), "shop_name": self._shop_name}
        return aiohttp_jinja2.render_template(TEMPLATE, request, context)

    async def _finish(self, request: web.Request) -> web.Response:
        lang = choose_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
        payment_id = request.match_info["payment_id"]
        result = await _chosen_result(request)
        if result not in ("succeeded", "canceled"):
            return web.Response(status=400, text=text("sandbox.no_such_result", lang))
        with suppress(Refused):  # pressed twice, or too late: the payment has ended, as its page tells
            await (self._teller.pay if result == "succeeded" else self._teller.decline)(payment_id)
        try:
            payment = await self._teller.payment(payment_id)
        except Refused:
            return web.Response(status=404, text=text("sandbox.no_such_payment", lang))
        raise web.HTTPSeeOther(_way_back(payment) or request.path)


async def _chosen_result(request: web.Request) -> str:
    try:
        return str((await request.post()).get("result", ""))
    except ValueError:
        return ""


def _way_back(payment: Payment) -> str:
    lost = payment_status(payment.status, payment.two_stage) is PaymentStatus.CANCELED
    return payment.fail_url if lost else payment.success_url


def _for_page(payment: Payment) -> dict[str, str]:
    return {
        "id": payment.payment_id,
        "amount_text": price_text(payment.amount_minor),
        "description": payment.description,
        "status": payment_status(payment.status, payment.two_stage),
    }

"""The sandbox T-Bank's API at `/sandbox/tbank/v2`: T-Bank's methods, errors and misbehaviour over HTTP."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

from server.payments.tbank_api import verify
from server.sandbox_tbank.bank import TERMINAL_KEY
from server.sandbox_tbank.faults import Fault, Faults, Harm
from server.sandbox_tbank.outbox import PASSWORD
from server.sandbox_tbank.refusals import Refused
from server.sandbox_tbank.store import Answer
from server.sandbox_tbank.teller import Teller

PREFIX = "/sandbox/tbank/v2"

CALLS_KEPT = 1000

Act = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class Call(NamedTuple):
    """A request that the API has had."""

    method: str
    body: str


class Api:
    """The routes of the API over a `Teller`."""

    def __init__(self, teller: Teller, faults: Faults) -> None:
        self._faults = faults
        self._acts: dict[str, Act] = {
            "Init": teller.init,
            "GetState": teller.get_state,
            "Confirm": teller.confirm,
            "Cancel": teller.cancel,
            "CheckOrder": teller.check_order,
            "GetQr": teller.get_qr,
            "SbpPayTest": teller.sbp_pay_test,
        }
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        """The latest requests, in order."""

    def routes(self) -> list[web.RouteDef]:
        """Return every route of the API."""
        return [web.post(f"{PREFIX}/{method}", self._handler(method)) for method in self._acts]

    def _handler(self, method: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            self.calls.append(Call(method, raw.decode("utf-8", "replace")))
            fault = self._faults.take_call(method)
            if fault is None:
                return await self._answer(method, raw)
            if not fault.after_effect and fault.harm not in (Harm.SLOW, Harm.TRUNCATED):
                return await self._spoiled(request, fault, web.Response())
            return await self._spoiled(request, fault, await self._answer(method, raw))

        return handle

    async def _answer(self, method: str, raw: bytes) -> web.Response:
        """Do what is asked for; a refusal is an answer like any other."""
        try:
            return web.json_response(await self._acts[method](_checked(raw)))
        except Refused as refused:
            return web.json_response(refused.body())

    async def _spoiled(
        self, request: web.Request, fault: Fault, response: web.Response
    ) -> web.StreamResponse:
        """Return what a fault makes of a response."""
        match fault.harm:
            case Harm.SLOW:
                await asyncio.sleep(self._faults.slow_s)
            case Harm.ABORT:
                if request.transport is not None:
                    request.transport.abort()
            case Harm.TRUNCATED:
                text = response.text or ""
                return web.Response(text=text[: len(text) // 2], content_type="application/json")
            case Harm.BAD_GATEWAY:
                page = "<html><h1>502 Bad Gateway</h1></html>"
                return web.Response(status=502, text=page, content_type="text/html")
            case Harm.ERROR:
                return web.Response(status=500)
            case Harm.TOO_MANY:
                return web.Response(status=429)
            case Harm.REFUSED:
                return web.json_response(Refused(fault.code).body())
        return response


def _checked(raw: bytes) -> Mapping[str, Any]:
    """Return the request of this terminal, whose token is right. Raises Refused."""
    try:
        # A fraction stays as it is written, as the token counts it.
        body = json.loads(raw, parse_float=str)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or not body:
        raise Refused("203")
    if body.get("TerminalKey") != TERMINAL_KEY:
        raise Refused("331")
    if not verify(body, PASSWORD):
        raise Refused("204")
    return body

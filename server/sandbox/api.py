"""The sandbox bank's API at `/sandbox/v3`: YooKassa's paths, errors and misbehaviour over HTTP."""

import asyncio
import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

from server.sandbox import bank, demands
from server.sandbox.checks import Refused
from server.sandbox.faults import ALWAYS_DONE, Fault, Faults, Harm
from server.sandbox.store import Answer
from server.sandbox.teller import Teller, new_object_id

PREFIX = "/sandbox/v3"

ACCOUNT_ID = bank.ACCOUNT_ID
SECRET_KEY = "test_sandbox"
"""Known to everyone: the bank has no real money."""

CALLS_KEPT = 1000

_AUTHORIZATION = aiohttp.encode_basic_auth(ACCOUNT_ID, SECRET_KEY).encode()
_KNOWN_PATH = re.compile(r"(payments|refunds|receipts)(/[^/]+)?|payments/[^/]+/(capture|cancel)")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Ask = Callable[[str, str, dict[str, Any]], Awaitable[Answer]]


class Call(NamedTuple):
    """A request that the API has had."""

    method: str
    path: str
    key: str


class Api:
    """The routes of the API over a `Teller`; `do_due` delivers what is to be told at once."""

    def __init__(self, teller: Teller, faults: Faults, do_due: Callable[[], Awaitable[None]]) -> None:
        self._teller = teller
        self._faults = faults
        self._do_due = do_due
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        """The latest requests, in order."""

    def routes(self) -> list[web.RouteDef]:
        """Return every route of the API; the last answers for paths and methods that do not exist."""
        table: list[tuple[str, str, Handler]] = [
            ("POST", "/payments", self._create_payment),
            ("GET", "/payments", self._list_payments),
            ("GET", "/payments/{id}", self._fetch_payment),
            ("POST", "/payments/{id}/capture", self._capture),
            ("POST", "/payments/{id}/cancel", self._cancel),
            ("POST", "/refunds", self._create_refund),
            ("GET", "/refunds", self._list_refunds),
            ("GET", "/refunds/{id}", self._fetch_refund),
            ("POST", "/receipts", self._create_receipt),
            ("GET", "/receipts", self._list_receipts),
            ("GET", "/receipts/{id}", self._fetch_receipt),
            ("*", "/{rest:.*}", self._refuse_path),
        ]
        return [web.route(method, PREFIX + path, self._guarded(handler)) for method, path, handler in table]

    def _guarded(self, handler: Handler) -> Handler:
        """Return the handler behind the check of the account, with refusals as JSON."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            self.calls.append(Call(request.method, request.path, request.headers.get("Idempotence-Key", "")))
            try:
                _check_account(request)
                return await handler(request)
            except Refused as refused:
                return web.json_response(refused.body(new_object_id()), status=refused.status)

        return guarded

    async def _create_payment(self, request: web.Request) -> web.StreamResponse:
        return await self._post(request, self._teller.create_payment, self._faults.creates)

    async def _create_refund(self, request: web.Request) -> web.StreamResponse:
        return await self._post(request, self._teller.create_refund, self._faults.creates)

    async def _create_receipt(self, request: web.Request) -> web.StreamResponse:
        return await self._post(request, self._teller.create_receipt, self._faults.creates)

    async def _capture(self, request: web.Request) -> web.StreamResponse:
        payment_id = request.match_info["id"]

        async def capture(key: str, request_hash: str, body: dict[str, Any]) -> Answer:
            return await self._teller.capture(payment_id, key, request_hash, body)

        return await self._post(request, capture, self._faults.captures)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        payment_id = request.match_info["id"]

        async def cancel(key: str, request_hash: str, body: dict[str, Any]) -> Answer:
            return await self._teller.cancel(payment_id, key, request_hash)

        return await self._post(request, cancel, self._faults.captures)

    async def _fetch_payment(self, request: web.Request) -> web.StreamResponse:
        found = await self._teller.payment(request.match_info["id"])
        return await self._shown(request, bank.shown(found) if found else None)

    async def _fetch_refund(self, request: web.Request) -> web.StreamResponse:
        return await self._shown(request, await self._teller.refund(request.match_info["id"]))

    async def _fetch_receipt(self, request: web.Request) -> web.StreamResponse:
        return await self._shown(request, await self._teller.receipt(request.match_info["id"]))

    async def _list_payments(self, request: web.Request) -> web.StreamResponse:
        demand = demands.list_demand("payments", request.query)
        return await self._shown(request, await self._teller.list_payments(demand))

    async def _list_refunds(self, request: web.Request) -> web.StreamResponse:
        demand = demands.list_demand("refunds", request.query)
        return await self._shown(request, await self._teller.list_refunds(demand))

    async def _list_receipts(self, request: web.Request) -> web.StreamResponse:
        demand = demands.list_demand("receipts", request.query)
        return await self._shown(request, await self._teller.list_receipts(demand))

    async def _refuse_path(self, request: web.Request) -> web.StreamResponse:
        if _KNOWN_PATH.fullmatch(request.match_info["rest"]):
            raise Refused(405, "invalid_request", f"{request.method} is not for this path")
        raise Refused(404, "not_found", "No such path")

    async def _post(self, request: web.Request, ask: Ask, faults: deque[Fault]) -> web.StreamResponse:
        fault = faults.popleft() if faults else None
        if fault is None:
            return await _answer(request, ask)
        if not fault.after_effect and fault.harm not in ALWAYS_DONE:
            return await self._spoiled(request, fault)
        return await self._spoiled(request, fault, await _answer(request, ask))

    async def _shown(self, request: web.Request, found: bank.Object | None) -> web.StreamResponse:
        if found is None:
            raise Refused(404, "not_found", "No such object, or access denied")
        response = web.json_response(found)
        if self._faults.reads:
            return await self._spoiled(request, self._faults.reads.popleft(), response)
        return response

    async def _spoiled(
        self, request: web.Request, fault: Fault, response: web.Response | None = None
    ) -> web.StreamResponse:
        """Return what a fault makes of a response; None: nothing was done."""
        match fault.harm:
            case Harm.SLOW:
                await asyncio.sleep(self._faults.slow_s)
            case Harm.ABORT:
                _cut(request)
            case Harm.SILENT:
                await asyncio.sleep(self._faults.slow_s)
                _cut(request)
            case Harm.OVERTAKEN if response is not None:
                await self._overtake(response)
            case Harm.TRUNCATED if response is not None:
                return web.Response(
                    text=(response.text or "")[: len(response.text or "") // 2],
                    content_type="application/json",
                )
            case Harm.BAD_GATEWAY:
                page = "<html><h1>502 Bad Gateway</h1></html>"
                return web.Response(status=502, text=page, content_type="text/html")
            case Harm.ERROR:
                raise Refused(500, "internal_server_error", "Something went wrong")
            case Harm.TOO_MANY:
                raise Refused(429, "too_many_requests", "Too many requests")
            case Harm.TOO_MANY_BARE:
                return web.Response(status=429)
            case Harm.FORBIDDEN:
                raise Refused(403, "forbidden", "The key is right, but may not do this")
            case Harm.GONE:
                raise Refused(410, "gone", "It was here, and was removed for good")
            case Harm.PROCESSING:
                waiting = {"type": "processing", "description": "Still working", "retry_after": 1800}
                return web.json_response(waiting, status=202)
        return response or web.Response()

    async def _overtake(self, response: web.Response) -> None:
        """Let the customer pay what the response has opened, and the shop hear of it before the answer."""
        made = json.loads(response.text or "{}")
        if made.get("confirmation"):
            await self._teller.pay(made["id"])
        await self._do_due()


async def _answer(request: web.Request, ask: Ask) -> web.Response:
    key = demands.check_key(request.headers.get("Idempotence-Key"))
    body = await _json_object(request)
    text = json.dumps([request.method, request.path, body], sort_keys=True)
    answer = await ask(key, hashlib.sha256(text.encode()).hexdigest(), body)
    return web.json_response(answer.body, status=answer.status)


async def _json_object(request: web.Request) -> dict[str, Any]:
    raw = await request.read()
    if not raw:
        return {}
    if request.content_type != "application/json":
        raise Refused(415, "invalid_request", "Content-Type is not application/json")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "invalid_request", "The body is not a JSON object")
    return body


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _check_account(request: web.Request) -> None:
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    if not hmac.compare_digest(given, _AUTHORIZATION):
        raise Refused(401, "invalid_credentials", "Error in shopId or secret key")

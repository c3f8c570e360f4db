"""The YooKassa client: carries the bodies of `yookassa_api` over HTTP and says how each call ended.

It never repeats a call: what is in doubt is repeated by whoever saved the body and the key.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import aiohttp
import structlog

from server.payments import (
    Capabilities,
    Credentials,
    InDoubt,
    Method,
    Misconfigured,
    NotFound,
    PaymentSnapshot,
    ReceiptSnapshot,
    RefundSnapshot,
    yookassa_api,
)
from server.payments.notation import instant_text
from server.payments.reading import read_whole

log = structlog.get_logger()

PAGE_SIZE = 100
CAPABILITIES = Capabilities(
    least_minor={Method.CARD: 100, Method.SBP: 100},
    holds=frozenset({Method.CARD}),
    voids_unpaid=False,
    partial_refunds=True,
)
"""SBP is never held, and `/cancel` is for held payments only (OpenAPI specification)."""

PAGES_AT_MOST = 50
"""5000 payments since the lost one: more than a shop of machines sells in the day that a key lives."""


class Yookassa:
    """One shop at YooKassa; a `Provider`.

    The session is shared and should keep no cookies. `read_timeout_s` is for questions; `write_timeout_s` for
    what moves money: YooKassa answers such a request within 30 s (response-handling/http-codes), and giving
    up earlier leaves it in doubt.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        base_url: str = yookassa_api.BASE_URL,
        read_timeout_s: float = 3.0,
        write_timeout_s: float = 35.0,
    ) -> None:
        self._session = session
        self._credentials = credentials
        self._base_url = base_url.rstrip("/")
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s

    async def create_payment(self, body: str, key: str) -> PaymentSnapshot:
        """Ask for the payment of `body`; the same key never makes a second one."""
        return _payment(await self._post("/payments", body, key))

    async def capture_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        """Take the money that is held; the same key never takes it twice."""
        return _payment(await self._post(f"/payments/{_path_part(provider_payment_id)}/capture", body, key))

    async def release_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        """Give the money back that is held."""
        return _payment(await self._post(f"/payments/{_path_part(provider_payment_id)}/cancel", body, key))

    async def create_refund(self, body: str, key: str) -> RefundSnapshot:
        """Ask for the refund of `body`; the same key never makes a second one."""
        return _refund(await self._post("/refunds", body, key))

    async def fetch_payment(self, provider_payment_id: str, hold: bool = False) -> PaymentSnapshot:
        """Return the payment as it stands now."""
        found = _payment(await self._get(f"/payments/{_path_part(provider_payment_id)}"))
        if found.provider_payment_id != provider_payment_id:
            raise InDoubt(f"asked about payment {provider_payment_id}, answered about another")
        return found

    async def fetch_refund(self, provider_refund_id: str) -> RefundSnapshot:
        """Return the refund as it stands now."""
        found = _refund(await self._get(f"/refunds/{_path_part(provider_refund_id)}"))
        if found.provider_refund_id != provider_refund_id:
            raise InDoubt(f"asked about refund {provider_refund_id}, answered about another")
        return found

    async def find_payment(self, payment_id: str, since_ms: int) -> PaymentSnapshot | None:
        """Return the newest payment since `since_ms` that carries our `payment_id`."""
        for item in await self._list("/payments", _since(since_ms)):
            found = _payment(item)
            if found.metadata.get("payment_id") == payment_id:
                return found
        return None

    async def refunds_of(self, provider_payment_id: str) -> Sequence[RefundSnapshot]:
        """Return every refund of the payment, also those that we did not ask for."""
        items = await self._list("/refunds", {"payment_id": _path_part(provider_payment_id)})
        refunds = [_refund(item) for item in items]
        return [refund for refund in refunds if refund.provider_payment_id == provider_payment_id]

    async def receipts_of(
        self, provider_payment_id: str, provider_refund_id: str | None = None
    ) -> Sequence[ReceiptSnapshot]:
        """Return the receipts of a payment, or of one of its refunds."""
        of = {"payment_id": _path_part(provider_payment_id)}
        if provider_refund_id is not None:
            of = {"refund_id": _path_part(provider_refund_id)}
        return [yookassa_api.receipt(item) for item in await self._list("/receipts", of)]

    async def payments_since(self, since_ms: int, of: Mapping[str, bool]) -> Sequence[PaymentSnapshot]:
        """Return every payment since then, the newest first."""
        return [_payment(item) for item in await self._list("/payments", _since(since_ms))]

    async def refunds_since(self, since_ms: int, of: Collection[str]) -> Sequence[RefundSnapshot]:
        """Return every refund since then, the newest first."""
        return [_refund(item) for item in await self._list("/refunds", _since(since_ms))]

    async def _list(self, path: str, filters: Mapping[str, str]) -> list[Mapping[str, Any]]:
        query = {**filters, "limit": str(PAGE_SIZE)}
        found: list[Mapping[str, Any]] = []
        for _ in range(PAGES_AT_MOST):
            items, cursor = yookassa_api.page(await self._get(path, query))
            found += items
            if cursor is None:
                return found
            query["cursor"] = cursor
        raise InDoubt(f"{path}: the list goes on after {PAGES_AT_MOST} pages")

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        return await self._call("GET", path, self._read_timeout_s, query=query)

    async def _post(self, path: str, body: str, key: str) -> Mapping[str, Any]:
        headers = {"Idempotence-Key": key, "Content-Type": "application/json"}
        return await self._call("POST", path, self._write_timeout_s, headers=headers, data=body.encode())

    async def _call(
        self,
        method: str,
        path: str,
        timeout_s: float,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
    ) -> Mapping[str, Any]:
        started = time.monotonic()
        outcome: object = "no answer"
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                params=query,
                data=data,
                headers={**(headers or {}), "Authorization": self._authorization()},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
            ) as response:
                outcome = response.status
                raw = await read_whole(response)
                if response.status == 200:
                    return yookassa_api.read_object(raw)
                waiting = response.headers.get("Retry-After", "")
                raise yookassa_api.refusal(response.status, raw, method == "GET", waiting)
        except TimeoutError as error:
            raise InDoubt(f"{method} {path}: no whole answer in {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise InDoubt(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            spent_ms = round((time.monotonic() - started) * 1000)
            log.info("provider called", method=method, path=path, status=outcome, ms=spent_ms)

    def _authorization(self) -> str:
        try:
            return aiohttp.encode_basic_auth(self._credentials.account_id, self._credentials.secret_key)
        except ValueError as error:
            raise Misconfigured("the account id must not contain a colon") from error


def _since(since_ms: int) -> dict[str, str]:
    return {"created_at.gte": instant_text(since_ms)}


def _path_part(identifier: str) -> str:
    if not yookassa_api.OBJECT_ID.fullmatch(identifier):
        raise NotFound("not an id that the provider could have given")
    return identifier


def _payment(answer: Mapping[str, Any]) -> PaymentSnapshot:
    _tell_unknown_status(answer)
    return yookassa_api.payment(answer)


def _refund(answer: Mapping[str, Any]) -> RefundSnapshot:
    _tell_unknown_status(answer)
    return yookassa_api.refund(answer)


def _tell_unknown_status(answer: Mapping[str, Any]) -> None:
    if status := yookassa_api.unknown_status(answer):
        log.warning("provider has a status that is not known here; taken as pending", status=status)

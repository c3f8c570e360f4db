"""The T-Bank client: signs the saved requests of `tbank_requests`, carries them, and tells how a call ended.

It never repeats a call: what is in doubt is repeated by whoever saved the body and the key.
"""

import json
import ssl
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import aiohttp
import structlog

from server.payments import (
    Capabilities,
    Confirmation,
    Credentials,
    Declined,
    InDoubt,
    Method,
    NotFound,
    PaymentSnapshot,
    PaymentStatus,
    ReceiptSnapshot,
    RefundSnapshot,
    RefundStatus,
    tbank_api,
)
from server.payments.reading import read_whole
from server.payments.tbank_codes import REPEATED_ORDER_CODES

log = structlog.get_logger()

CAPABILITIES = Capabilities(
    least_minor={Method.CARD: 100, Method.SBP: 1000},
    holds=frozenset({Method.CARD}),
    voids_unpaid=True,
    partial_refunds=True,
)
"""SBP takes at least 10 roubles and is never held (scenarios/payments)."""


class Tbank:
    """One terminal at T-Bank; a `Provider`. `credentials` are its key and password.

    `tls` knows the authorities that T-Bank's certificate may be signed by; None: the system's.
    """

    capabilities = CAPABILITIES

    def __init__(
        self,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        base_url: str = tbank_api.BASE_URL,
        read_timeout_s: float = 3.0,
        write_timeout_s: float = 35.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._session = session
        self._credentials = credentials
        self._base_url = base_url.rstrip("/")
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True

    # --- payments -----------------------------------------------------------------------------------

    async def create_payment(self, body: str, key: str) -> PaymentSnapshot:
        """Ask for the payment of `body`; its `OrderId`, not the key, keeps it from being made twice."""
        asked = json.loads(body)
        by_sbp, order_id = asked.pop("Sbp", False), str(asked["OrderId"])
        two_stage = asked["PayType"] == "T"
        try:
            made = tbank_api.payment(await self._write("Init", asked), two_stage)
        except Declined as error:
            if error.code not in REPEATED_ORDER_CODES:
                raise
            made = await self._made_before(order_id, two_stage, error)
        if not by_sbp or made.status is not PaymentStatus.PENDING:
            return made
        link = tbank_api.qr_link(
            await self._write("GetQr", {"PaymentId": made.provider_payment_id, "DataType": "PAYLOAD"})
        )
        return replace(made, confirmation=Confirmation("qr", link))

    async def _made_before(self, order_id: str, two_stage: bool, error: Declined) -> PaymentSnapshot:
        """The answer to an earlier `Init` was lost: the payment is there, where it is paid is not known."""
        found = await self._of_order(order_id, two_stage)
        if found is None:
            raise error
        return found

    async def _of_order(self, order_id: str, two_stage: bool) -> PaymentSnapshot | None:
        try:
            answer = await self._read("CheckOrder", {"OrderId": order_id})
        except NotFound:
            return None
        found = tbank_api.payments_of_order(answer, two_stage)
        return found[-1] if found else None

    async def fetch_payment(self, provider_payment_id: str, hold: bool = False) -> PaymentSnapshot:
        """Return the payment as it stands now; `hold` says that it was asked for in two stages."""
        answer = await self._read("GetState", {"PaymentId": _known(provider_payment_id)})
        found = tbank_api.payment(answer, two_stage=hold)
        if found.provider_payment_id != provider_payment_id:
            raise InDoubt(f"asked about payment {provider_payment_id}, answered about another")
        return found

    async def find_payment(self, payment_id: str, since_ms: int) -> PaymentSnapshot | None:
        """Return the newest payment that carries our `payment_id`."""
        return await self._of_order(payment_id, two_stage=False)

    async def capture_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        """Take the money that is held; once, since a payment is confirmed once."""
        await self._write("Confirm", json.loads(body))
        return await self.fetch_payment(provider_payment_id, hold=True)

    async def release_payment(self, provider_payment_id: str, body: str, key: str) -> PaymentSnapshot:
        """Give the money back that is held."""
        await self._write("Cancel", {**json.loads(body), "ExternalRequestId": key})
        return await self.fetch_payment(provider_payment_id, hold=True)

    async def payments_since(self, since_ms: int, of: Mapping[str, bool]) -> Sequence[PaymentSnapshot]:
        """Return those payments; T-Bank has no list of them."""
        return [await self.fetch_payment(payment_id, hold) for payment_id, hold in of.items()]

    # --- refunds ------------------------------------------------------------------------------------

    async def create_refund(self, body: str, key: str) -> RefundSnapshot:
        """Ask for the refund of `body`; the same key, as `ExternalRequestId`, never makes a second one."""
        asked = json.loads(body)
        told = tbank_api.refund(await self._write("Cancel", {**asked, "ExternalRequestId": key}), key)
        refund_id = tbank_api.refund_id(told.provider_payment_id)
        return replace(told, provider_refund_id=refund_id, amount_minor=int(asked["Amount"]))

    async def fetch_refund(self, provider_refund_id: str) -> RefundSnapshot:
        """Return the refund as its payment's status tells; pending while that tells of none."""
        payment_id = provider_refund_id.partition("/")[0]
        answer = await self._read("GetState", {"PaymentId": _known(payment_id)})
        told = tbank_api.refund_told_of(answer)
        if told is not None:
            return told
        of = tbank_api.payment(answer, two_stage=False)
        return RefundSnapshot(
            provider_refund_id, payment_id, RefundStatus.PENDING, of.amount_minor, of.currency, ""
        )

    async def refunds_of(self, provider_payment_id: str) -> Sequence[RefundSnapshot]:
        """Return the refund that the payment's status tells of."""
        answer = await self._read("GetState", {"PaymentId": _known(provider_payment_id)})
        told = tbank_api.refund_told_of(answer)
        return [told] if told is not None else []

    async def receipts_of(
        self, provider_payment_id: str, provider_refund_id: str | None = None
    ) -> Sequence[ReceiptSnapshot]:
        """Return nothing: T-Bank's API does not tell of receipts."""
        return []

    async def refunds_since(self, since_ms: int, of: Collection[str]) -> Sequence[RefundSnapshot]:
        """Return the refunds of those payments; T-Bank has no list of them."""
        return [refund for payment_id in of for refund in await self.refunds_of(payment_id)]

    # --- calls --------------------------------------------------------------------------------------

    async def _read(self, method: str, asked: Mapping[str, object]) -> Mapping[str, Any]:
        return await self._call(method, asked, self._read_timeout_s, reading=True)

    async def _write(self, method: str, asked: Mapping[str, object]) -> Mapping[str, Any]:
        return await self._call(method, asked, self._write_timeout_s, reading=False)

    async def _call(
        self, method: str, asked: Mapping[str, object], timeout_s: float, reading: bool
    ) -> Mapping[str, Any]:
        started = time.monotonic()
        outcome: object = "no answer"
        try:
            async with self._session.post(
                f"{self._base_url}/{method}",
                data=tbank_api.signed(self._credentials, asked).encode(),
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=timeout_s),
                allow_redirects=False,
                ssl=self._tls,
            ) as response:
                outcome = response.status
                return tbank_api.read_answer(response.status, await read_whole(response), reading)
        except TimeoutError as error:
            raise InDoubt(f"{method}: no whole answer in {timeout_s:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise InDoubt(f"{method}: {type(error).__name__}: {error}") from error
        finally:
            spent_ms = round((time.monotonic() - started) * 1000)
            log.info("provider called", method=method, path="tbank", status=outcome, ms=spent_ms)


def _known(provider_payment_id: str) -> str:
    if not tbank_api.PAYMENT_ID.fullmatch(provider_payment_id):
        raise NotFound("not an id that T-Bank could have given")
    return provider_payment_id

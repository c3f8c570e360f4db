"""`python -m bench.provider`: the bank's stand-in. Every payment it is asked for has succeeded."""

import asyncio
import json

from aiohttp import web

from bench.children import Said, obey
from bench.shop import ACCOUNT_ID, PRICE_MINOR


class Provider:
    """Answers `GET /payments/{id}` as YooKassa does, at once."""

    async def do(self, order: Said) -> Said:
        """Serve; return the port."""
        app = web.Application()
        app.add_routes([web.get("/v3/payments/{id}", self._payment)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return {"port": runner.addresses[0][1]}

    async def _payment(self, request: web.Request) -> web.Response:
        number = request.match_info["id"].removeprefix("bp-")
        amount = {"value": f"{PRICE_MINOR / 100:.2f}", "currency": "RUB"}
        body = {
            "id": f"bp-{number}",
            "status": "succeeded",
            "paid": True,
            "amount": amount,
            "income_amount": amount,
            "captured_at": "2026-11-25T12:00:00.000Z",
            "created_at": "2026-11-25T11:59:00.000Z",
            "description": "Эспрессо",
            "metadata": {"order_id": f"order-{number}", "payment_id": f"pay-{number}", "attempt": "1"},
            "payment_method": {"type": "bank_card", "id": f"pm-{number}", "saved": False},
            "recipient": {"account_id": ACCOUNT_ID, "gateway_id": "100700"},
            "refundable": True,
            "test": True,
        }
        return web.Response(body=json.dumps(body).encode(), content_type="application/json")


if __name__ == "__main__":
    asyncio.run(obey(Provider().do))

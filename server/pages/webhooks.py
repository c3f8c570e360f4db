"""Notifications of payment providers: stored, acknowledged, and worked on afterwards."""

from aiohttp import web

from server import keys
from server.errors import BadRequest
from server.pages.parse import json_bytes
from server.payments import NotANotification, OfNoConcern
from server.payments.yookassa_api import parse_notification


def routes() -> list[web.RouteDef]:
    """Return the addresses that providers post to."""
    return [web.post("/v1/yook-pay-webhook", yookassa)]


async def yookassa(request: web.Request) -> web.Response:
    """YooKassa's notification: 200 once stored; a malformed one is refused and changes nothing."""
    raw = await json_bytes(request)
    try:
        hint = parse_notification(raw)
    except OfNoConcern:
        return web.json_response({})
    except NotANotification as error:
        raise BadRequest("invalid_request", str(error)) from error
    await request.app[keys.NOTIFICATIONS].keep("yookassa", hint, raw.decode("utf-8", "replace"))
    return web.json_response({})

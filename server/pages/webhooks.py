"""Notifications of payment providers: stored, acknowledged, and worked on afterwards."""

import structlog
from aiohttp import web

from server import keys
from server.errors import BadRequest, Forbidden
from server.metrics import NOTIFICATIONS
from server.networks import YOOKASSA_NETWORKS, is_within
from server.pages.parse import json_bytes
from server.pages.peer import client_address
from server.payments import NotANotification, OfNoConcern, tbank_api
from server.payments.yookassa_api import parse_notification

log = structlog.get_logger()


def routes() -> list[web.RouteDef]:
    """Return the addresses that providers post to."""
    return [web.post("/v1/yook-pay-webhook", yookassa), web.post("/v1/tbank-webhook", tbank)]


async def yookassa(request: web.Request) -> web.Response:
    """YooKassa's notification: 200 once stored; a malformed one is refused and changes nothing.

    So is one too many that is not about a payment of ours: YooKassa sends again what was not answered 200.
    """
    _check_network(request)
    raw = await json_bytes(request)
    try:
        hint = parse_notification(raw)
    except OfNoConcern:
        return web.json_response({})
    except NotANotification as error:
        raise BadRequest("invalid_request", str(error)) from error
    body, sender = raw.decode("utf-8", "replace"), client_address(request)
    await request.app[keys.NOTIFICATIONS].keep("yookassa", hint, body, sender)
    return web.json_response({})


def _check_network(request: web.Request) -> None:
    """Count, and refuse if wished, what comes from elsewhere: a first fence; the object is read back."""
    rule, address = request.app[keys.SETTINGS].yookassa_networks, client_address(request)
    if rule == "off" or is_within(address, YOOKASSA_NETWORKS):
        return
    NOTIFICATIONS.labels("foreign network").inc()
    log.warning("notification from a network that is not YooKassa's", address=address, rule=rule)
    if rule == "enforce":
        raise Forbidden("sender_not_allowed", f"a notification from {address}")


async def tbank(request: web.Request) -> web.Response:
    """T-Bank's notification: its token must be the terminal's; 200 and `OK` once stored."""
    raw = await json_bytes(request)
    try:
        told = tbank_api.parse_notification(raw)
    except OfNoConcern:
        return web.Response(text=tbank_api.NOTIFICATION_REPLY)
    except NotANotification as error:
        raise BadRequest("invalid_request", str(error)) from error
    terminal = await request.app[keys.ACCOUNTS].terminal(told.terminal_key)
    if terminal is None or not tbank_api.verify(told.fields, terminal.secret_key):
        NOTIFICATIONS.labels("forged").inc()
        raise Forbidden(
            "signature_wrong", f"a notification that terminal {told.terminal_key[:40]!r} did not sign"
        )
    await request.app[keys.NOTIFICATIONS].keep("tbank", told.hint, raw.decode("utf-8", "replace"))
    return web.Response(text=tbank_api.NOTIFICATION_REPLY)

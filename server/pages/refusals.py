"""Turns what was refused into a page or JSON that a person understands, a log line and a counter."""

from collections.abc import Awaitable, Callable

import aiohttp_jinja2
import structlog
from aiohttp import hdrs, web

from server import keys
from server.errors import DatabaseError, Refusal, TooMany, Unauthorized
from server.metrics import REFUSED
from server.pages.language import language
from server.pages.security import show_logo
from server.pages.signed_in import about_user
from server.pages.slashes import without_slash
from server.sanitise import sanitise
from server.store import devices
from server.texts import text

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_JSON_PATHS = (
    "/v1/initiate-payment",
    "/v1/order-status/",
    "/v1/manual-make",
    "/v1/yook-pay-webhook",
    "/v1/tbank-webhook",
    "/v1/order-qr/",
    "/v1/order-receipt/",
    "/v1/devices",
    "/v1/agent",
    "/tech/preview",
    "/ready",
)


_NOT_ROUTED = {404: "page_not_found", 405: "method_not_allowed"}


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error readably; what we did not foresee is logged whole and answered 500."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return await _refused(request, refusal)
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        return await _not_routed(request, answer)
    except DatabaseError as error:
        log.error("database failed", path=request.path, why=str(error))
        return await _answer(request, 503, "service_unavailable", str(error), None)
    except Exception as error:
        if request.transport is None and isinstance(error, ConnectionResetError):
            log.info("whoever asked is gone", path=request.path)
            return web.Response(status=499)  # nobody reads it; to raise would be an error in aiohttp's log
        log.error("request failed", path=request.path, method=request.method, exc_info=error)
        return await _answer(request, 500, "internal", type(error).__name__, None)


async def _not_routed(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    """There is no such path or method; aiohttp says so with a page of its own."""
    page = without_slash(request) if error.status == 404 else None
    if page is not None:
        return web.Response(status=308, headers={hdrs.LOCATION: page})
    key = _NOT_ROUTED.get(error.status, "invalid_request")
    log.warning(
        "request refused", path=request.path, status=error.status, reason=key, detail=str(error.reason)
    )
    answer = await _answer(request, error.status, key, str(error.reason), None)
    if hdrs.ALLOW in error.headers:
        answer.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return answer


async def _refused(request: web.Request, refusal: Refusal) -> web.StreamResponse:
    log.warning(
        "request refused", path=request.path, status=refusal.status, reason=refusal.key, detail=refusal.detail
    )
    answer = await _answer(request, refusal.status, refusal.key, refusal.detail, refusal.device_uuid)
    if isinstance(refusal, Unauthorized):
        answer.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if isinstance(refusal, TooMany):
        answer.headers[hdrs.RETRY_AFTER] = "60"
    return answer


async def _answer(
    request: web.Request, status: int, key: str, detail: str, device_uuid: str | None
) -> web.StreamResponse:
    REFUSED.labels(key).inc()
    lang = language(request)
    words = text(f"error.{key}", lang)
    if request.path.startswith(_JSON_PATHS):
        return web.json_response({"error": words}, status=status)
    if f"{request.path}/".startswith("/tech/"):
        return _page_for_technicians(request, status, words, lang)
    context = {
        "lang": lang,
        "title": text("page.error_title", lang),
        "message": words,
        "retry_href": None,
        "device": await _device(request, device_uuid),
    }
    return aiohttp_jinja2.render_template("customer/error.html", request, context, status=status)


def _page_for_technicians(request: web.Request, status: int, words: str, lang: str) -> web.Response:
    context = {"lang": lang, "message": words, **about_user(request)}
    return aiohttp_jinja2.render_template("technician/error.html", request, context, status=status)


async def _device(request: web.Request, device_uuid: str | None) -> dict[str, str | None] | None:
    if device_uuid is None:
        return None
    try:
        device = await request.app[keys.DB].read(devices.get, device_uuid)
    except DatabaseError:
        return None
    if device is None:
        return None
    show_logo(request, device)
    return {
        "location": device.location,
        "merchant_name": device.merchant_name,
        "logo_url": device.logo_url,
        "client_error_info": sanitise(device.client_error_info) or "",
    }

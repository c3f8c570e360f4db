"""What technicians and operators see and do: sign in, the machines, one machine and its texts, open cases."""

from typing import Any

import aiohttp_jinja2
import structlog
from aiohttp import hdrs, web

from server import device_texts, keys
from server.case_work import Decision, settle_case
from server.errors import AlreadyDecided, BadRequest, NotFound, Unauthorized
from server.pages import machine_view
from server.pages.failure_pages import older_and_newer, wanted_failures
from server.pages.language import language
from server.pages.parse import json_object
from server.pages.peer import client_address
from server.pages.signed_in import (
    START,
    about_user,
    check_same_origin,
    cookie_token,
    drop_cookie,
    form_of,
    local_path,
    session_of,
    set_cookie,
    signed_in,
)
from server.sanitise import sanitise
from server.store import desk, payments
from server.store.desk import Machine
from server.texts import text
from server.users import TooManyAttempts

log = structlog.get_logger()

FAILURES_ON_PAGE = 20
NOTIFICATIONS_ON_PAGE = 50


def routes() -> list[web.RouteDef]:
    """Return every route of the technicians."""
    return [
        web.get("/tech", to_start),
        web.get(START, machines),
        web.get("/tech/login", login_form),
        web.post("/tech/login", log_in),
        web.post("/tech/logout", log_out),
        web.get("/tech/devices/{device_uuid}", machine),
        web.post("/tech/devices/{device_uuid}", edit_texts),
        web.post("/tech/preview", preview),
        web.get("/tech/cases", cases),
        web.post("/tech/cases/{case_id}", settle),
    ]


async def to_start(request: web.Request) -> web.StreamResponse:
    """The start page without its slash."""
    raise web.HTTPSeeOther(START)


# --- signing in and out -------------------------------------------------------------------------------


async def login_form(request: web.Request) -> web.StreamResponse:
    """The login; whoever is signed in goes on."""
    wanted = local_path(request.query.get("next", ""))
    if await request.app[keys.USERS].session(cookie_token(request)) is not None:
        raise web.HTTPSeeOther(wanted)
    return _login(request, "", wanted)


async def log_in(request: web.Request) -> web.StreamResponse:
    """Check name and password; begin a session, or say what is wrong."""
    check_same_origin(request)
    form = await form_of(request)
    name, wanted = form.get("name", "").strip(), local_path(form.get("next", ""))
    address = client_address(request)
    users = request.app[keys.USERS]
    try:
        begun = await users.log_in(name, form.get("password", ""), address, cookie_token(request))
    except Unauthorized:
        return _login(request, name, wanted, "wrong_login", status=401)
    except TooManyAttempts as error:
        answer = _login(request, name, wanted, "too_many_requests", status=429)
        answer.headers[hdrs.RETRY_AFTER] = str(error.wait_s)
        return answer
    response = web.Response(status=303, headers={hdrs.LOCATION: wanted})
    set_cookie(request, response, begun.token)
    return response


def _login(request: web.Request, name: str, wanted: str, error: str = "", status: int = 200) -> web.Response:
    lang = language(request)
    words = text(f"error.{error}", lang) if error else None
    context = {"lang": lang, "csrf": "", "name": name, "next": wanted, "error": words}
    return aiohttp_jinja2.render_template("technician/login.html", request, context, status=status)


@signed_in
async def log_out(request: web.Request) -> web.StreamResponse:
    """End the session."""
    await request.app[keys.USERS].log_out(session_of(request))
    response = web.Response(status=303, headers={hdrs.LOCATION: "/tech/login"})
    drop_cookie(request, response)
    return response


# --- machines -----------------------------------------------------------------------------------------


@signed_in
async def machines(request: web.Request) -> web.StreamResponse:
    """The list of machines, those in trouble first."""
    q = request.query.get("q", "")[:200]
    fleet = await request.app[keys.DB].read(desk.fleet)
    now, lang = request.app[keys.NOW_MS](), language(request)
    shown = machine_view.machines(fleet, q, now, _threshold_ms(request), lang)
    return _page(request, "machines", {"machines": shown, "q": q})


@signed_in
async def machine(request: web.Request) -> web.StreamResponse:
    """One machine: its failures and its texts."""
    one = await _machine(request)
    values = device_texts.of_device(one.device)
    return await _machine_page(request, one, values, saved="saved" in request.query)


@signed_in
async def edit_texts(request: web.Request) -> web.StreamResponse:
    """Save the machine's texts, or show how they will look."""
    one, form = await _machine(request), await form_of(request)
    values = device_texts.read_form(form)
    shown = {**device_texts.of_device(one.device), **values}
    errors = device_texts.wrong(values, language(request))
    if form.get("action") == "preview":
        return await _machine_page(request, one, shown, errors, seen=form.get("seen", ""))
    if not errors and await _save(request, one, values, form.get("seen", "")):
        raise web.HTTPSeeOther(f"{request.rel_url.raw_path}?saved=1#texts-title")
    errors = errors or {"form": text("error.form_expired", language(request))}
    return await _machine_page(request, await _machine(request), shown, errors, status=400)


async def _save(request: web.Request, one: Machine, values: device_texts.Values, seen: str) -> bool:
    app = request.app
    user_name = session_of(request).user_name
    new_id, now = app[keys.RULES].new_id, app[keys.NOW_MS]()
    uuid = one.device.device_uuid
    return await app[keys.DB].write(device_texts.save, uuid, values, seen, user_name, now, new_id)


@signed_in
async def preview(request: web.Request) -> web.StreamResponse:
    """The text that is being typed, as the customer's page will show it. JSON `{"html"}` in and out."""
    words = (await json_object(request)).get("html")
    if not isinstance(words, str) or len(words) > device_texts.LIMIT:
        raise BadRequest("invalid_request", "html must be a text of at most 4000 characters")
    return web.json_response({"html": sanitise(words) or ""})


async def _machine(request: web.Request) -> Machine:
    device_uuid = request.match_info["device_uuid"]
    one = await request.app[keys.DB].read(desk.machine, device_uuid)
    if one is None:
        raise NotFound("device_not_found", device_uuid[:80])
    return one


async def _machine_page(
    request: web.Request,
    one: Machine,
    values: device_texts.Values,
    errors: dict[str, str] | None = None,
    seen: str = "",
    saved: bool = False,
    status: int = 200,
) -> web.Response:
    lang, now = language(request), request.app[keys.NOW_MS]()
    failed = await wanted_failures(request, one.device.device_uuid, FAILURES_ON_PAGE)
    older, newer = older_and_newer(failed)
    context = {
        "machine": machine_view.machine(one, now, _threshold_ms(request), lang),
        "failures": [machine_view.failure_line(failure, lang) for failure in failed.shown],
        "newer_href": f"?after={newer}#failures" if newer else None,
        "older_href": f"?before={older}#failures" if older else None,
        "values": values,
        "previews": device_texts.previews(values),
        "seen": seen or device_texts.fingerprint(one.device),
        "saved": saved,
        "errors": errors or {},
    }
    return _page(request, "machine", context, status)


# --- cases --------------------------------------------------------------------------------------------


@signed_in
async def cases(request: web.Request) -> web.StreamResponse:
    """What waits for a person, and notifications that fit nothing."""
    done = text("case.done", language(request)) if "done" in request.query else None
    return await _cases_page(request, done=done)


@signed_in
async def settle(request: web.Request) -> web.StreamResponse:
    """Do what a person decided about a case; what cannot be done is said above the list."""
    form = await form_of(request)
    decision = Decision(
        case_id=request.match_info["case_id"],
        action=form.get("action", ""),
        user=session_of(request).user_name,
        reason=form.get("reason", "").strip(),
    )
    now = request.app[keys.NOW_MS]()
    try:
        change = await request.app[keys.DB].write(settle_case, request.app[keys.RULES], decision, now)
    except (BadRequest, AlreadyDecided) as refusal:
        error = text(f"error.{refusal.key}", language(request))
        return await _cases_page(request, error=error, status=refusal.status)
    log.info("case settled", case_id=decision.case_id, action=decision.action, user=decision.user)
    if change is not None:
        request.app[keys.FOLLOW](change)
    request.app[keys.REFUNDS].wake()
    raise web.HTTPSeeOther("/tech/cases?done")


async def _cases_page(
    request: web.Request, done: str | None = None, error: str | None = None, status: int = 200
) -> web.Response:
    db, now, lang = request.app[keys.DB], request.app[keys.NOW_MS](), language(request)
    waiting = await db.read(desk.open_cases)
    stray = await db.read(payments.unmatched_notifications, NOTIFICATIONS_ON_PAGE)
    context = {
        "cases": [machine_view.case(one, now, lang) for one in waiting],
        "notifications": [machine_view.notification(one) for one in stray],
        "shops": [machine_view.shop(one, now, lang) for one in await db.read(desk.shops)],
        "done": done,
        "error": error,
    }
    return _page(request, "cases", context, status)


def _page(request: web.Request, name: str, context: dict[str, Any], status: int = 200) -> web.Response:
    whole = {"lang": language(request), **about_user(request), **context}
    return aiohttp_jinja2.render_template(f"technician/{name}.html", request, whole, status=status)


def _threshold_ms(request: web.Request) -> int:
    return int(request.app[keys.SETTINGS].device_online_threshold_s * 1000)

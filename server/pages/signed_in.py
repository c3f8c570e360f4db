"""Who is asking: the browser's session of a technician or operator, or the bearer token of a program."""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import hdrs, web

from server import keys
from server.errors import BadRequest, Forbidden, TooLarge, Unauthorized
from server.store.users import Session
from server.users import LONGEST_MS

SESSION = web.RequestKey("SESSION", Session)
FORM: web.RequestKey[Mapping[str, str]] = web.RequestKey("FORM")

FORM_LIMIT_BYTES = 512 * 1024
"""Ten texts of 4000 letters, each letter sent as up to twelve bytes."""
SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
START = "/tech/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def signed_in(handler: Handler) -> Handler:
    """Let only a signed-in person reach the handler, and only forms of our own pages change anything.

    Others are sent to the login, and back after it. Raises Forbidden for a form that is not ours.
    """

    async def guarded(request: web.Request) -> web.StreamResponse:
        session = await request.app[keys.USERS].session(cookie_token(request))
        if session is None:
            raise _to_login(request)
        request[SESSION] = session
        if request.method not in SAFE_METHODS:
            check_same_origin(request)
            await _check_csrf(request, session)
        return await handler(request)

    return guarded


def by_program(handler: Handler) -> Handler:
    """Let only a program with a technician's token reach the handler. Raises Unauthorized."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        users = request.app[keys.USERS]
        session = await users.program(token.strip()) if scheme.lower() == "bearer" else None
        if session is None:
            raise Unauthorized("program_token_wrong", "a program without a valid token")
        request[SESSION] = session
        return await handler(request)

    return guarded


def session_of(request: web.Request) -> Session:
    """Return who asks; only behind one of the guards above."""
    return request[SESSION]


def about_user(request: web.Request) -> dict[str, Any]:
    """Return what the header of a technicians' page shows: `user` is None when it is not known who asks."""
    session = request.get(SESSION)
    if session is None:
        return {"user": None, "csrf": ""}
    return {"user": {"name": session.user_name, "role": session.role}, "csrf": session.csrf}


def _to_login(request: web.Request) -> Exception:
    if request.content_type == "application/json":
        return Unauthorized("login_expired", "no session")
    back = request.path_qs if request.method in SAFE_METHODS else request.path
    return web.HTTPSeeOther(f"/tech/login?next={quote(back, safe='/')}")


def local_path(path: str) -> str:
    """Return a path below /tech/ as it is; for anything else the start page."""
    plain = path.startswith(START) and path.isprintable() and "\\" not in path and "//" not in path
    return path if plain and "/../" not in f"{path.partition('?')[0]}/" else START


# --- forms ------------------------------------------------------------------------------------------


async def form_of(request: web.Request) -> Mapping[str, str]:
    """Return the texts of the posted form; it is read once. Raises TooLarge, BadRequest."""
    if FORM not in request:
        try:
            posted = await request.clone(client_max_size=FORM_LIMIT_BYTES).post()
        except web.HTTPRequestEntityTooLarge:
            raise TooLarge("too_large", f"form longer than {FORM_LIMIT_BYTES} bytes") from None
        except (ValueError, LookupError) as error:
            raise BadRequest("invalid_request", f"not a form: {error}") from None
        request[FORM] = {name: value for name, value in posted.items() if isinstance(value, str)}
    return request[FORM]


def check_same_origin(request: web.Request) -> None:
    """Raise Forbidden when the browser says that another site sent the request."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Forbidden("other_site", f"Sec-Fetch-Site {site[:20]!r}")
        return
    origin = request.headers.get(hdrs.ORIGIN)
    ours = {request.host, urlsplit(request.app[keys.SETTINGS].public_url).netloc}
    if origin is not None and urlsplit(origin).netloc not in ours:
        raise Forbidden("other_site", f"Origin {origin[:80]!r}")


async def _check_csrf(request: web.Request, session: Session) -> None:
    given = request.headers.get("X-CSRF") or (await form_of(request)).get("csrf", "")
    if not hmac.compare_digest(given.encode(errors="replace"), session.csrf.encode()):
        raise Forbidden("form_expired", f"csrf of {session.user_name} does not fit")


# --- the cookie -------------------------------------------------------------------------------------


def cookie_token(request: web.Request) -> str:
    """Return the token of the request's cookie, or an empty text."""
    return request.cookies.get(_cookie_name(request), "")


def set_cookie(request: web.Request, response: web.Response, token: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        _cookie_name(request),
        token,
        max_age=LONGEST_MS // 1000,
        path="/",
        secure=_is_https(request),
        httponly=True,
        samesite="Lax",
    )


def drop_cookie(request: web.Request, response: web.Response) -> None:
    """Take the browser's session away."""
    secure = _is_https(request)
    response.del_cookie(_cookie_name(request), path="/", secure=secure, httponly=True, samesite="Lax")


def _cookie_name(request: web.Request) -> str:
    return "__Host-demitasse_session" if _is_https(request) else "demitasse_session"


def _is_https(request: web.Request) -> bool:
    return request.app[keys.SETTINGS].public_url.startswith("https://")

"""In which language a request is answered."""

from aiohttp import hdrs, web

from server.texts import choose_language


def language(request: web.Request) -> str:
    """Return `ru` or `en`, as the browser asks for."""
    return choose_language(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))

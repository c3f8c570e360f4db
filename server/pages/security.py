"""The headers that keep pages safe, on every answer."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web
from multidict import istr

from server.device_texts import is_picture_address
from server.store.rows import Device

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:{logo}; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


_HEADERS = tuple(
    (istr(name), value)
    for name, value in {
        "Content-Security-Policy": _POLICY.format(logo=""),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",  # an order's address is its secret
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }.items()
)

LOGO_ORIGIN = web.RequestKey("LOGO_ORIGIN", str)


def show_logo(request: web.Request, device: Device) -> None:
    """Allow this page to show the device's logo, and no other picture from outside."""
    if device.logo_url and is_picture_address(device.logo_url):
        request[LOGO_ORIGIN] = f"https://{urlsplit(device.logo_url).netloc}"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer its headers (a signal handler of `on_response_prepare`)."""
    headers = response.headers
    logo = request.get(LOGO_ORIGIN)
    if logo is not None:
        headers.setdefault("Content-Security-Policy", _POLICY.format(logo=f" {logo}"))
    for name, value in _HEADERS:
        headers.setdefault(name, value)
    if not request.path.startswith("/static/"):
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")

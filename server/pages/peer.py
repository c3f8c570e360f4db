"""Where a request comes from, also behind a proxy."""

from aiohttp import hdrs, web

from server import keys
from server.networks import nearest_stranger, networks


def client_address(request: web.Request) -> str:
    """Return the client's address: the peer's, or what the last proxy that we trust says of it."""
    forwarded = ",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, []))
    trusted = networks(request.app[keys.SETTINGS].trusted_proxies)
    return nearest_stranger(request.remote or "", forwarded, trusted)

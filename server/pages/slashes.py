"""Addresses of pages that were typed with a slash at their end. Those of programs are taken as they are."""

import re

from aiohttp import hdrs, web

_PAGE = re.compile(
    r"/m/[^/]+|/v1/(pay|yook-pay|tbank-pay|order-status-page)|/tech/(login|cases|devices/[^/]+)"
)


def without_slash(request: web.Request) -> str | None:
    """Return the address of the page that is meant, with its query; None: no page is."""
    path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
    if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD) or not path.endswith("/"):
        return None
    page = path.removesuffix("/")
    if not _PAGE.fullmatch(page):
        return None
    return f"{page}?{query}" if query else page

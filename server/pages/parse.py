"""Reads bodies that came from outside; what is wrong with them becomes a Refusal."""

import json
from typing import Any

from aiohttp import web

from server.errors import BadRequest, TooLarge, UnsupportedType

BODY_LIMIT_BYTES = 64 * 1024


async def json_bytes(request: web.Request) -> bytes:
    """Return the body of a JSON request. Raises UnsupportedType, TooLarge."""
    if request.content_type != "application/json":
        raise UnsupportedType("invalid_request", f"content type {request.content_type[:80]!r}, not JSON")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge("too_large", f"body longer than {BODY_LIMIT_BYTES} bytes") from None


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of the body. Raises UnsupportedType, TooLarge, BadRequest."""
    try:
        value = json.loads(await json_bytes(request))
    except (ValueError, RecursionError) as error:
        raise BadRequest("invalid_request", f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadRequest("invalid_request", "not a JSON object")
    return value

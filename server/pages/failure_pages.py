"""Which part of a machine's failures a request asks for: `before` or `after` a place in the list."""

import re
from dataclasses import dataclass

from aiohttp import web

from server import keys
from server.errors import BadRequest
from server.moments import milliseconds
from server.store import desk
from server.store.desk import Failure, Place

LIMIT = 100
"""Failures in one answer at most."""

_PLACE = re.compile(r"([0-9]{1,15})\.([!-~]{1,300})")


@dataclass(frozen=True)
class FailurePage:
    """Failures, newest first, and whether there are older and newer ones."""

    shown: list[Failure]
    has_older: bool
    has_newer: bool


async def wanted_failures(request: web.Request, device_uuid: str, limit: int) -> FailurePage:
    """Return the page of failures that the query asks for. Raises BadRequest."""
    db = request.app[keys.DB]
    after = request.query.get("after")
    if after:
        found = await db.read(desk.failures_after, device_uuid, read_place(after), limit + 1)
        return FailurePage(found[-limit:], True, len(found) > limit)
    before = request.query.get("before")
    place = read_place(before) if before else desk.NEWEST
    found = await db.read(desk.failures_before, device_uuid, place, limit + 1)
    return FailurePage(found[:limit], len(found) > limit, bool(before))


def older_and_newer(page: FailurePage) -> tuple[str | None, str | None]:
    """Return the places from which the next older and the next newer page go on; None: there is none."""
    if not page.shown:
        return None, None
    older = place_of(page.shown[-1]) if page.has_older else None
    return older, place_of(page.shown[0]) if page.has_newer else None


def place_of(failure: Failure) -> str:
    """Return where a failure stands in the list."""
    return f"{failure.created_at}.{failure.command_id}"


def read_place(words: str) -> Place:
    """Return the place that `place_of` has written, or the one of an ISO 8601 time. Raises BadRequest."""
    written = _PLACE.fullmatch(words)
    if written:
        return Place(int(written[1]), written[2])
    try:
        return Place(milliseconds(words.replace(" ", "+")), "")  # a + that was not escaped arrives as a space
    except (ValueError, OverflowError):
        raise BadRequest("invalid_request", f"not a time or a place in the list: {words[:60]!r}") from None


def read_limit(request: web.Request, default: int) -> int:
    """Return how many failures are asked for, 1 to 100. Raises BadRequest."""
    words = request.query.get("limit", str(default))
    if not (words.isascii() and words.isdecimal() and len(words) <= 3 and 1 <= int(words) <= LIMIT):
        raise BadRequest("invalid_request", f"limit must be 1 to {LIMIT}, not {words[:20]!r}")
    return int(words)

"""The sandbox bank's notifications, written with the events that they tell of; delivered by `courier`."""

import json
from typing import NamedTuple

from server.db import Statement, Transaction
from server.sandbox import bank

NOTICE_LIFE_MS = 24 * 60 * 60 * 1000
"""Notifications are repeated for a day from the event."""
LEASE_MS = 20_000
"""Longer than a delivery may take."""


class Notice(NamedTuple):
    """A notification to deliver."""

    notification_id: str
    body: str
    created_at: int
    tries: int


def notify(event: bank.Event, now_ms: int) -> Transaction[None]:
    """Write the notification of an event: the object as it is at this moment."""
    body = json.dumps({"type": "notification", "event": event.name, "object": event.object})
    yield Statement(
        "INSERT INTO sandbox_notifications (notification_id, body, created_at, next_try_at, tries)"
        " VALUES ($1, $2, $3, $3, 0)",
        (f"{event.name}/{event.object['id']}/{now_ms}", body, now_ms),
    )


def claim_notices(now_ms: int, at_most: int) -> Transaction[list[Notice]]:
    """Return the notifications to deliver now, the oldest event first; they go to nobody else meanwhile."""
    rows = yield Statement(
        "UPDATE sandbox_notifications SET next_try_at = $2 WHERE next_try_at <= $1 AND notification_id IN ("
        "SELECT notification_id FROM sandbox_notifications WHERE next_try_at <= $1"
        " ORDER BY created_at LIMIT $3) RETURNING notification_id, body, created_at, tries",
        (now_ms, now_ms + LEASE_MS, at_most),
    )
    notices = [Notice(row["notification_id"], row["body"], row["created_at"], row["tries"]) for row in rows]
    return sorted(notices, key=lambda notice: notice.created_at)


def notice_tried(notice: Notice, next_try_at: int | None) -> Transaction[None]:
    """Write that a notification was sent; None: it is over."""
    yield Statement(
        "UPDATE sandbox_notifications SET tries = tries + 1, next_try_at = $1 WHERE notification_id = $2",
        (next_try_at, notice.notification_id),
    )

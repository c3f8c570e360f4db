"""Times as people read them. Pure; the one place that says in which zone: UTC, and it is named."""

from datetime import UTC, datetime

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400

_UNITS = {
    "ru": {
        MINUTE_S: ("минута", "минуты", "минут"),
        HOUR_S: ("час", "часа", "часов"),
        DAY_S: ("день", "дня", "дней"),
    },
    "en": {
        MINUTE_S: ("minute", "minutes", "minutes"),
        HOUR_S: ("hour", "hours", "hours"),
        DAY_S: ("day", "days", "days"),
    },
}
_LESS = {"ru": "меньше минуты", "en": "less than a minute"}


def moment(at_ms: int) -> str:
    """Return UTC milliseconds as "23.11.2026 12:04 UTC"."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%d.%m.%Y %H:%M UTC")


def instant(at_ms: int) -> str:
    """Return UTC milliseconds as ISO 8601, for programs: "2026-11-23T12:04:05.678+00:00"."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def milliseconds(iso: str) -> int:
    """Return an ISO 8601 time as UTC milliseconds; without a zone it is taken for UTC. Raises ValueError."""
    at = datetime.fromisoformat(iso)
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return round(seconds * 1000)


def age(since_ms: int, now_ms: int, lang: str = "ru") -> str:
    """Return how long ago it was, in its largest unit: "5 минут", "2 часа", "21 день"."""
    seconds = max(now_ms - since_ms, 0) // 1000
    units = _UNITS["en" if lang == "en" else "ru"]
    for unit_s in (DAY_S, HOUR_S, MINUTE_S):
        if seconds >= unit_s:
            count = seconds // unit_s
            return f"{count}\N{NO-BREAK SPACE}{_agreeing(count, units[unit_s], lang)}"
    return _LESS["en" if lang == "en" else "ru"]


def _agreeing(count: int, forms: tuple[str, str, str], lang: str) -> str:
    one, few, many = forms
    if lang == "en":
        return one if count == 1 else many
    if count % 10 == 1 and count % 100 != 11:
        return one
    return few if count % 10 in (2, 3, 4) and count % 100 not in (12, 13, 14) else many

"""Days as people type them: whole days of UTC."""

from datetime import UTC, date, datetime, time

from server.errors import SettingError

DAY_MS = 24 * 3600 * 1000


def midnight_ms(name: str, day: str) -> int:
    """Return when a day begins. Raises SettingError that names the flag."""
    try:
        return int(datetime.combine(date.fromisoformat(day), time.min, UTC).timestamp() * 1000)
    except ValueError:
        raise SettingError(f"{name} must be a day like 2026-11-24, not {day!r}") from None


def day_text(at_ms: int) -> str:
    """Return the day of a time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()

"""A clock that goes only when a test lets it."""

from dataclasses import dataclass
from datetime import UTC, datetime

START_MS = int(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp() * 1000)


@dataclass
class Clock:
    """UTC milliseconds; 23.11.2026 12:00 at first."""

    at_ms: int = START_MS

    def __call__(self) -> int:
        return self.at_ms

    def go(self, seconds: float) -> None:
        """Let time pass."""
        self.at_ms += int(seconds * 1000)

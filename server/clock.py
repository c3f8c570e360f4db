"""The wall clock. Whatever needs the time is given this function, so that a test can give another."""

import time


def utc_now_ms() -> int:
    """Return the time, in UTC milliseconds."""
    return time.time_ns() // 1_000_000

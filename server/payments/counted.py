"""Counts the calls to providers by how they ended."""

from collections.abc import Awaitable
from typing import TypeVar

from server.metrics import PROVIDER_CALLS
from server.payments import InDoubt, ProviderError, RetryLater

T = TypeVar("T")


async def counted(call: str, answer: Awaitable[T]) -> T:
    """Wait for a provider's answer and count the outcome."""
    try:
        value = await answer
    except ProviderError as error:
        PROVIDER_CALLS.labels(call, type(error).__name__).inc()
        raise
    PROVIDER_CALLS.labels(call, "Ok").inc()
    return value


def patience_ms(error: Exception) -> int:
    """Return how long the provider asked us to wait, in milliseconds; 0 if it named no time."""
    if isinstance(error, RetryLater | InDoubt) and error.after_s:
        return int(error.after_s * 1000)
    return 0

"""How long a provider remembers an idempotence key, and what to do when it no longer does. Pure."""

KEY_LIFE_MS = 23 * 3600 * 1000
"""YooKassa forgets a key after 24 h: an hour before, we look instead of repeating."""


def is_old(created_at: int, now: int) -> bool:
    """Whether the key of a request that was saved then may be forgotten: ask first what became of it."""
    return now - created_at > KEY_LIFE_MS


def key_for(key: str, created_at: int, now: int) -> str:
    """Return the key for a request that the provider says it has not done: a new one for each life."""
    lives = max(0, now - created_at) // KEY_LIFE_MS
    return f"{key}-{lives}" if lives else key

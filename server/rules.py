"""What transactions need of the settings, and how ids are made."""

import secrets

from server.payments.accounts import bodies_of
from server.progress import Rules
from server.settings import Settings


def new_id(kind: str) -> str:
    """Return an id that nobody can guess; fits an idempotence key."""
    return f"{kind}-{secrets.token_hex(12)}"


def rules_of(settings: Settings) -> Rules:
    """Return the rules that the settings make."""
    return Rules(
        make_life_ms=int(settings.make_life_s * 1000),
        make_result_ms=int(settings.make_result_s * 1000),
        manual_make_ms=int(settings.manual_make_s * 1000),
        late_after_ms=int(settings.fast_track_limit_s * 1000),
        unknown_refund_ms=int(settings.unknown_refund_s * 1000),
        new_id=new_id,
        bodies=bodies_of,
    )

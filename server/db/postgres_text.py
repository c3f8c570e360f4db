"""How a statement of ours is put to PostgreSQL. Pure.

Every value is sent with its type, since PostgreSQL would guess a narrower one (`$1 + 5000` makes `$1` 32 bits
wide). A change that returns no rows returns the transaction's number instead, by which a commit in doubt can
be looked up later.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from server.db.postgres_locks import deciding

_PLACEHOLDER = re.compile(r"\$(\d+)")
_CHANGES = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_RETURNS = re.compile(r"\bRETURNING\b", re.IGNORECASE)

_CASTS = {"i": "::bigint", "s": "::text", "f": "::float8", "-": ""}


class Text(NamedTuple):
    """A statement as PostgreSQL reads it."""

    sql: str
    changes: bool
    """It writes."""
    tells_number: bool
    """Its rows are the transaction's number, for us and not for the transaction."""


def postgres_text(sql: str, values: Sequence[Any], writes: bool = False) -> Text:
    """Return the statement for values of these types; `writes`: as a transaction says it that may write."""
    return _text(sql, "".join([_kind(value) for value in values]), writes)


def postgres_values(values: Sequence[Any]) -> list[Any]:
    """Return the values as PostgreSQL takes them: its texts hold no NUL, so another mark stands for it."""
    return [
        value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        if isinstance(value, str) and "\0" in value
        else value
        for value in values
    ]


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "s"
    if isinstance(value, int):
        return "i"
    return "f" if isinstance(value, float) else "-"


@lru_cache(maxsize=4096)
def _text(sql: str, kinds: str, writes: bool) -> Text:
    said = deciding(sql) if writes else sql
    typed = _PLACEHOLDER.sub(lambda found: found[0] + _CASTS[kinds[int(found[1]) - 1]], said)
    changes = _CHANGES.match(sql) is not None
    if not changes or _RETURNS.search(sql):
        return Text(typed, changes, tells_number=False)
    return Text(f"{typed} RETURNING {NUMBER} AS number", changes, tells_number=True)


NUMBER = "pg_current_xact_id()::text"

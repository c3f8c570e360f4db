"""People, their sessions, the tokens of their programs, and what they changed by hand."""

from dataclasses import dataclass

from server.db import Statement, Transaction, serializable
from server.store.rows import columns, insert, many, one, update


@dataclass(frozen=True, slots=True)
class User:
    """A row of `users`."""

    name: str
    role: str
    password_hash: str
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class NewSession:
    """A row of `sessions`."""

    token_hash: str
    user_name: str
    kind: str
    csrf: str
    created_at: int
    used_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Session:
    """A row of `sessions` with its user's role."""

    token_hash: str
    user_name: str
    role: str
    kind: str
    csrf: str
    created_at: int
    used_at: int
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """A row of `changes`."""

    change_id: str
    at: int
    user_name: str
    device_uuid: str | None
    what: str
    before_text: str | None
    after_text: str | None


def get(name: str) -> Transaction[User | None]:
    """The user, or None."""
    return one(User, (yield Statement(f"SELECT {columns(User)} FROM users WHERE name = $1", (name,))))


def put(user: User) -> Transaction[bool]:
    """Add the user, or give a known one the new role and password and end all its sessions.

    Return whether the user is new.
    """
    if (yield from get(user.name)) is None:
        yield Statement(*insert("users", user))
        return True
    changes = {"role": user.role, "password_hash": user.password_hash, "updated_at": user.updated_at}
    yield Statement(*update("users", changes, "name = $1", user.name))
    yield Statement("DELETE FROM sessions WHERE user_name = $1", (user.name,))
    return False


def rehash(user: User, password_hash: str) -> Transaction[None]:
    """Keep the same password under a newer hash, unless it was changed meanwhile."""
    changes = {"password_hash": password_hash}
    yield Statement(
        *update("users", changes, "name = $1 AND password_hash = $2", user.name, user.password_hash)
    )


def begin_session(session: NewSession, former: str, idle_since: int) -> Transaction[None]:
    """Begin a browser's session in place of its `former` one, and forget those that are over."""
    yield Statement(
        "DELETE FROM sessions "
        "WHERE kind = 'browser' AND (token_hash = $1 OR expires_at <= $2 OR used_at <= $3)",
        (former, session.created_at, idle_since),
    )
    yield Statement(*insert("sessions", session))


@serializable  # two new tokens at once find no old one in each other's place
def replace_program_token(session: NewSession) -> Transaction[None]:
    """Give the user's programs a new token; the old one is void."""
    yield Statement("DELETE FROM sessions WHERE kind = 'program' AND user_name = $1", (session.user_name,))
    yield Statement(*insert("sessions", session))


def session(token_hash: str) -> Transaction[Session | None]:
    """The session or program's token with this hash, or None; it may be over."""
    names = ", ".join(f"sessions.{name}" for name in columns(NewSession).split(", "))
    rows = yield Statement(
        f"SELECT {names}, users.role FROM sessions JOIN users ON users.name = sessions.user_name "
        "WHERE token_hash = $1",
        (token_hash,),
    )
    return one(Session, rows)


def use_session(token_hash: str, at: int) -> Transaction[None]:
    """The session was used."""
    yield Statement(*update("sessions", {"used_at": at}, "token_hash = $1", token_hash))


def end_session(token_hash: str) -> Transaction[None]:
    """The session is over."""
    yield Statement("DELETE FROM sessions WHERE token_hash = $1", (token_hash,))


def record_change(change: Change) -> Transaction[None]:
    """Keep who changed what by hand."""
    yield Statement(*insert("changes", change))


def changes_of(device_uuid: str) -> Transaction[list[Change]]:
    """What people changed of a device, oldest first."""
    rows = yield Statement(
        f"SELECT {columns(Change)} FROM changes WHERE device_uuid = $1 ORDER BY at, change_id", (device_uuid,)
    )
    return many(Change, rows)

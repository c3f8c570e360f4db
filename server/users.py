"""Technicians and operators: who they are, how they sign in, and the sessions and tokens they use.

Knows no HTTP. Of each secret only a hash is kept: argon2id of passwords, SHA-256 of tokens.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from server.attempts import WINDOW_MS, mark_of, network_of, wait_ms
from server.db import Database, Transaction, serializable
from server.errors import DemitasseError, SettingError, Unauthorized
from server.metrics import REFUSED
from server.passwords import Passwords
from server.store import login_attempts, users
from server.store.users import NewSession, Session, User
from server.tokens import new_token, token_hash

log = structlog.get_logger()

ROLES = ("technician", "operator")
HOUR_MS = 3_600_000
IDLE_MS = 12 * HOUR_MS
LONGEST_MS = 7 * 24 * HOUR_MS
"""A browser's session ends when it was not used for the one, and in any case after the other."""
USE_NOTED_MS = 60_000
"""A use within this time of the last noted one is not written again."""
PASSWORD_AT_LEAST, PASSWORD_AT_MOST = 8, 1024
NAME_AT_MOST = 64


class TooManyAttempts(DemitasseError):
    """The login was tried too often; `wait_s` seconds must pass."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"try again in {wait_s} s")
        self.wait_s = wait_s


@dataclass(frozen=True)
class LoggedIn:
    """A session that has just begun; `token` is for the cookie and kept nowhere."""

    token: str
    user_name: str


class Users:
    """Signs people and programs in and out."""

    def __init__(self, db: Database, now_ms: Callable[[], int], passwords: Passwords | None = None) -> None:
        self._db = db
        self._now_ms = now_ms
        self._passwords = passwords or Passwords()

    async def knows(self, name: str) -> bool:
        """Return whether there is a user of this name."""
        return await self._db.read(users.get, name) is not None

    async def add(self, name: str, role: str, password: str, replace: bool = False) -> bool:
        """Add a user, or with `replace` change a known one's role and password; return whether it is new.

        Whoever was signed in under the name no longer is. Raises SettingError for an unfit name or password,
        and for a known user who is not to be replaced.
        """
        check_name(name)
        check_password(password)
        if role not in ROLES:
            raise SettingError(f"role must be one of {', '.join(ROLES)}, not {role!r}")
        now = self._now_ms()
        user = User(name, role, await self._passwords.hashed(password), now, now)
        return await self._db.write(add_user, user, replace)

    async def log_in(self, name: str, password: str, address: str, former_token: str = "") -> LoggedIn:
        """Begin a session in place of the former one. Raises Unauthorized or TooManyAttempts."""
        who = (network_of(address), mark_of(name))
        wait = await self._db.write(count_attempt, new_token(), *who, self._now_ms())
        if wait:
            wait_s = math.ceil(wait / 1000)
            REFUSED.labels("too_many_requests").inc()
            log.warning("login tried too often", address=address, wait_s=wait_s)
            raise TooManyAttempts(wait_s)
        user = await self._db.read(users.get, name) if is_name(name) else None
        known = user.password_hash if user else None
        if not await self._passwords.fits(password[: PASSWORD_AT_MOST + 1], known) or user is None:
            REFUSED.labels("wrong_login").inc()
            known_name = user.name if user else None  # others may be passwords typed into the wrong field
            log.warning("wrong login", user=known_name, address=address)
            raise Unauthorized("wrong_login", f"from {address}")
        await self._db.write(login_attempts.forget, *who)
        if self._passwords.outdated(user.password_hash):
            await self._db.write(users.rehash, user, await self._passwords.hashed(password))
        log.info("signed in", user=name, address=address)
        return await self._begin(name, former_token)

    async def _begin(self, name: str, former_token: str) -> LoggedIn:
        token, now = new_token(), self._now_ms()
        session = NewSession(token_hash(token), name, "browser", new_token(), now, now, now + LONGEST_MS)
        await self._db.write(users.begin_session, session, token_hash(former_token), now - IDLE_MS)
        return LoggedIn(token, name)

    async def session(self, token: str) -> Session | None:
        """Return the browser's session of a cookie, or None when there is none or it is over."""
        session = await self._db.glance(users.session, token_hash(token)) if token else None
        if session is None or session.kind != "browser":
            return None
        now = self._now_ms()
        if now >= session.used_at + IDLE_MS or (session.expires_at is not None and now >= session.expires_at):
            return None
        await self._note_use(session, now)
        return session

    async def program(self, token: str) -> Session | None:
        """Return who a program's bearer token belongs to, or None."""
        session = await self._db.glance(users.session, token_hash(token)) if token else None
        if session is None or session.kind != "program":
            return None
        await self._note_use(session, self._now_ms())
        return session

    async def log_out(self, session: Session) -> None:
        """End the session; its cookie is void from now on."""
        await self._db.write(users.end_session, session.token_hash)
        log.info("signed out", user=session.user_name)

    async def new_program_token(self, name: str) -> str:
        """Return a new bearer token for the user's programs; the old one is void. Raises SettingError."""
        if await self._db.read(users.get, name) is None:
            raise SettingError(f"there is no user {name!r}: add it by `user add`")
        token, now = new_token(), self._now_ms()
        session = NewSession(token_hash(token), name, "program", "", now, now, None)
        await self._db.write(users.replace_program_token, session)
        return token

    async def _note_use(self, session: Session, now: int) -> None:
        if now - session.used_at >= USE_NOTED_MS:
            await self._db.write(users.use_session, session.token_hash, now)


def add_user(user: User, replace: bool) -> Transaction[bool]:
    """Put the user; return whether it is new. Raises SettingError for a known one unless `replace`."""
    if not replace and (yield from users.get(user.name)) is not None:
        raise known_already(user.name)
    return (yield from users.put(user))


def known_already(name: str) -> SettingError:
    """Return what is said of a name that is taken."""
    return SettingError(
        f"there is a user {name!r} already, and nothing was changed; "
        "give --replace to set a new role and password"
    )


@serializable  # each counts the others' rows, and adds one of its own
def count_attempt(attempt_id: str, network: str, mark: str, now: int) -> Transaction[int]:
    """Count one attempt to sign in, on whichever process; return 0 when it may be made, or how long not."""
    since = now - WINDOW_MS
    wait = wait_ms((yield from login_attempts.from_network(network, since)), mark, now)
    if not wait:
        yield from login_attempts.forget_until(since)
        yield from login_attempts.keep(attempt_id, network, mark, now)
    return wait


def is_name(name: str) -> bool:
    """Say whether a user can have this name."""
    return 0 < len(name) <= NAME_AT_MOST and name.isprintable() and name == name.strip()


def check_name(name: str) -> None:
    """Raise SettingError when no user can have this name."""
    if not is_name(name):
        raise SettingError(f"NAME must be 1 to {NAME_AT_MOST} printable characters, not {name!r}")


def check_password(password: str) -> None:
    """Raise SettingError when the password is too short or too long."""
    if not PASSWORD_AT_LEAST <= len(password) <= PASSWORD_AT_MOST:
        raise SettingError(f"the password must have {PASSWORD_AT_LEAST} to {PASSWORD_AT_MOST} characters")

"""Users, their sessions and tokens, on a database and a clock of the test's own."""

from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher

from server.attempts import WINDOW_MS
from server.db import Database, Statement, Transaction, open_database
from server.errors import SettingError, Unauthorized
from server.passwords import Passwords
from server.store import users as store
from server.users import IDLE_MS, LONGEST_MS, USE_NOTED_MS, TooManyAttempts, Users
from tests.server.clock import Clock

PASSWORD = "кофе и булочка"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
BETTER = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
HOME = "192.0.2.1"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    db = await open_database(database_url)
    yield db
    await db.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def users(db: Database, clock: Clock) -> Users:
    users = Users(db, clock, Passwords(QUICK))
    assert await users.add("anna", "technician", PASSWORD)
    return users


def every_cell() -> Transaction[str]:
    """All that is kept of users and sessions, as one text."""
    kept = ""
    for table in ("users", "sessions", "login_attempts"):
        kept += str([tuple(row) for row in (yield Statement(f"SELECT * FROM {table}"))])
    return kept


async def test_who_knows_the_password_gets_a_session(users: Users):
    begun = await users.log_in("anna", PASSWORD, HOME)
    session = await users.session(begun.token)
    assert session is not None
    assert (session.user_name, session.role) == ("anna", "technician")


@pytest.mark.parametrize(
    ("name", "password"),
    [("anna", "кофе и  булочка"), ("anna", ""), ("nobody", PASSWORD), ("", PASSWORD), ("anna ", PASSWORD)],
)
async def test_anything_else_is_a_wrong_login(users: Users, name: str, password: str):
    with pytest.raises(Unauthorized, match="wrong_login"):
        await users.log_in(name, password, HOME)


async def test_no_secret_is_kept_as_it_is(users: Users, db: Database):
    begun = await users.log_in("anna", PASSWORD, HOME)
    token = await users.new_program_token("anna")
    kept = await db.read(every_cell)
    assert "argon2id" in kept
    assert [secret for secret in (PASSWORD, begun.token, token) if secret in kept] == []


async def test_a_session_ends_when_nobody_uses_it(users: Users, clock: Clock):
    begun = await users.log_in("anna", PASSWORD, HOME)
    clock.at_ms += IDLE_MS - 1
    assert await users.session(begun.token) is not None
    clock.at_ms += IDLE_MS
    assert await users.session(begun.token) is None


async def test_a_session_ends_after_a_week_however_much_it_is_used(users: Users, clock: Clock):
    begun = await users.log_in("anna", PASSWORD, HOME)
    end = clock.at_ms + LONGEST_MS
    while clock.at_ms + IDLE_MS // 2 < end:
        clock.at_ms += IDLE_MS // 2
        assert await users.session(begun.token) is not None
    clock.at_ms = end
    assert await users.session(begun.token) is None


async def test_uses_within_a_minute_write_nothing(users: Users, db: Database, clock: Clock):
    begun = await users.log_in("anna", PASSWORD, HOME)
    before = await db.read(every_cell)
    clock.at_ms += USE_NOTED_MS - 1
    await users.session(begun.token)
    assert await db.read(every_cell) == before


async def test_sessions_that_are_over_are_forgotten(users: Users, db: Database, clock: Clock):
    first = await users.log_in("anna", PASSWORD, HOME)
    clock.at_ms += IDLE_MS
    second = await users.log_in("anna", PASSWORD, HOME)
    sessions = await db.read(session_count)
    assert sessions == 1 and await users.session(second.token) and not await users.session(first.token)


def session_count() -> Transaction[int]:
    """How many sessions are kept."""
    count: int = (yield Statement("SELECT count(*) AS n FROM sessions"))[0]["n"]
    return count


async def test_signing_out_ends_one_session_and_not_the_others(users: Users):
    phone = await users.log_in("anna", PASSWORD, HOME)
    laptop = await users.log_in("anna", PASSWORD, HOME)
    session = await users.session(phone.token)
    assert session is not None
    await users.log_out(session)
    assert await users.session(phone.token) is None
    assert await users.session(laptop.token) is not None


async def test_a_new_password_ends_all_sessions_and_tokens(users: Users):
    begun = await users.log_in("anna", PASSWORD, HOME)
    token = await users.new_program_token("anna")
    assert not await users.add("anna", "operator", "другой пароль", replace=True)
    assert await users.session(begun.token) is None and await users.program(token) is None
    again = await users.session((await users.log_in("anna", "другой пароль", HOME)).token)
    assert again is not None and again.role == "operator"


async def test_a_new_token_makes_the_old_one_void(users: Users):
    old = await users.new_program_token("anna")
    new = await users.new_program_token("anna")
    assert await users.program(old) is None
    program = await users.program(new)
    assert program is not None and program.user_name == "anna"


async def test_a_programs_token_outlives_any_session(users: Users, clock: Clock):
    token = await users.new_program_token("anna")
    clock.at_ms += 52 * LONGEST_MS
    assert await users.program(token) is not None


async def test_a_session_is_no_token_and_a_token_no_session(users: Users):
    begun = await users.log_in("anna", PASSWORD, HOME)
    token = await users.new_program_token("anna")
    assert await users.program(begun.token) is None
    assert await users.session(token) is None


async def test_a_token_needs_a_user(users: Users):
    with pytest.raises(SettingError, match="nobody"):
        await users.new_program_token("nobody")


async def test_a_password_is_hashed_anew_when_the_parameters_grow(users: Users, db: Database, clock: Clock):
    stronger = Users(db, clock, Passwords(BETTER))
    await stronger.log_in("anna", PASSWORD, HOME)
    user = await db.read(store.get, "anna")
    assert user is not None and not BETTER.check_needs_rehash(user.password_hash)
    await stronger.log_in("anna", PASSWORD, HOME)


async def test_after_five_tries_a_right_password_must_wait_too(users: Users):
    await fail(users, 5)
    with pytest.raises(TooManyAttempts) as refused:
        await users.log_in("anna", PASSWORD, HOME)
    assert 1 <= refused.value.wait_s <= 60
    await users.log_in("anna", PASSWORD, "192.0.2.2")


async def test_the_right_password_forgives_and_a_minute_does(users: Users, db: Database, clock: Clock):
    await fail(users, 4)
    await users.log_in("anna", PASSWORD, HOME)
    await fail(users, 5)
    clock.at_ms += WINDOW_MS
    await users.log_in("anna", PASSWORD, "192.0.2.2")
    assert await db.read(attempts_kept) == 0


async def test_several_processes_count_logins_together(users: Users, database_url: str, clock: Clock):
    db = await open_database(database_url)
    other = Users(db, clock, Passwords(QUICK))
    await fail(users, 3)
    await fail(other, 2)
    for each in (users, other):
        with pytest.raises(TooManyAttempts):
            await each.log_in("anna", PASSWORD, HOME)
    await db.close()


async def fail(users: Users, times: int) -> None:
    """Try wrong passwords."""
    for _ in range(times):
        with pytest.raises(Unauthorized):
            await users.log_in("anna", "wrong", HOME)


def attempts_kept() -> Transaction[int]:
    """How many attempts are kept."""
    count: int = (yield Statement("SELECT count(*) AS n FROM login_attempts"))[0]["n"]
    return count


@pytest.mark.parametrize("name", ["", " anna", "a\nb", "x" * 65, "\u202eanna"])
async def test_an_unfit_name_is_refused(users: Users, name: str):
    with pytest.raises(SettingError, match="NAME"):
        await users.add(name, "technician", PASSWORD)


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
async def test_an_unfit_password_is_refused(users: Users, password: str):
    with pytest.raises(SettingError, match="password"):
        await users.add("boris", "technician", password)


async def test_an_unknown_role_is_refused(users: Users):
    with pytest.raises(SettingError, match="role"):
        await users.add("boris", "king", PASSWORD)

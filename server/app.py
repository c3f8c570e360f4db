"""The composition root: what resources there are, who is told what, which path leads to which handler."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import cache, partial
from pathlib import Path

import aiohttp
import aiohttp_jinja2
import jinja2
import structlog
from aiohttp import web

from server import keys
from server.clients import accounts_of
from server.clock import utc_now_ms
from server.db import Database, open_database
from server.errors import SettingError
from server.known_archives import Archives
from server.pages import agent_socket, customer, operating, programs, technician, webhooks
from server.pages.parse import BODY_LIMIT_BYTES
from server.pages.refusals import answer_refusals
from server.pages.security import add_headers
from server.pages.status_answers import StatusAnswers
from server.parts import Parts, Run, for_ever
from server.payments.accounts import is_live, open_credentials, seal_credentials
from server.rules import rules_of
from server.sale import Sale
from server.sandbox import Sandbox
from server.sandbox_tbank import TbankSandbox
from server.settings import Settings
from server.store import devices
from server.texts import text
from server.till import Pace
from server.users import Users
from server.vault import Vault

log = structlog.get_logger()

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
STATIC = Path(__file__).resolve().parent / "static"


async def make_app(settings: Settings, now_ms: Callable[[], int] = utc_now_ms) -> web.Application:
    """Build the server: open what it needs and put it together. Raises SettingError."""
    app = web.Application(client_max_size=BODY_LIMIT_BYTES, middlewares=[answer_refusals])
    async with AsyncExitStack() as opened:
        works = await _assemble(app, settings, now_ms, opened)
        opened_to_the_end = opened.pop_all()
    app.cleanup_ctx.append(partial(_working, works, opened_to_the_end))
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(_part_from_agents)
    return app


async def _assemble(
    app: web.Application, settings: Settings, now_ms: Callable[[], int], opened: AsyncExitStack
) -> list[Run]:
    """Put every resource into the app; return what must run beside the handlers."""
    vault = Vault(settings.credentials_key)
    await _seal(settings.database_url, vault)
    db = await open_database(settings.database_url, settings.database_connections)
    opened.push_async_callback(db.close)
    session = await opened.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
    banks = await _sandbox_banks(settings, db, session, vault, now_ms)
    rules, accounts = rules_of(settings), accounts_of(settings, db, session, vault)
    parts = Parts(db, accounts, rules, _pace(settings), settings.public_url, now_ms)
    await parts.presence.begin()
    opened.push_async_callback(parts.presence.end)
    app[keys.SETTINGS], app[keys.DB], app[keys.RULES] = settings, db, parts.rules
    app[keys.NOW_MS] = now_ms
    app[keys.AGENTS], app[keys.DISPATCH] = parts.agents, parts.dispatch
    app[keys.CHECKOUT], app[keys.TILL] = parts.checkout, parts.till
    app[keys.REFUNDS], app[keys.NOTIFICATIONS] = parts.refunds, parts.notifications
    app[keys.ACCOUNTS] = accounts
    app[keys.FOLLOW] = parts.follow
    app[keys.USERS] = Users(db, now_ms)
    app[keys.SALE] = _sale(settings, db, now_ms)
    app[keys.ARCHIVES], app[keys.STATUS_ANSWERS] = Archives(db), StatusAnswers(db)
    _add_pages(app, banks)
    if banks:
        app[keys.SANDBOX], app[keys.SANDBOX_TBANK] = banks
    sleepers: list[Parts | Sandbox | TbankSandbox] = [parts, *banks]
    app[keys.WAKE] = lambda: _wake_all(sleepers)
    return [*parts.works, *(partial(_run_bank, bank) for bank in banks)]


async def _run_bank(bank: Sandbox | TbankSandbox) -> None:
    async with bank.running():
        await asyncio.Event().wait()


def _wake_all(sleepers: Sequence[Parts | Sandbox | TbankSandbox]) -> None:
    for sleeper in sleepers:
        sleeper.wake()


# --- the parts --------------------------------------------------------------------------------------


async def _seal(database_url: str, vault: Vault) -> None:
    """Seal credentials that stand in clear, and make sure that all can be opened. Raises SettingError.

    On connections of its own: closing them moves SQLite's log into the file, so that no page in clear stays.
    """
    db = await open_database(database_url)
    try:
        sealed = await db.write(seal_credentials, vault)
        kept = await db.read(devices.every_credentials)
    finally:
        await db.close()
    if sealed:
        log.info("credentials sealed", number=sealed)
    if not vault.has_key and any(is_live(scenario, body) for _, scenario, body in kept):
        log.warning("live credentials stand in clear in the database: set CREDENTIALS_KEY")


async def _sandbox_banks(
    settings: Settings,
    db: Database,
    session: aiohttp.ClientSession,
    vault: Vault,
    now_ms: Callable[[], int],
) -> tuple[()] | tuple[Sandbox, TbankSandbox]:
    """Return the banks without money, where they are served. Raises SettingError beside live credentials."""
    if not settings.sandbox:
        return ()
    for merchant_id, scenario, kept in await db.read(devices.every_credentials):
        if is_live(scenario, open_credentials(vault, merchant_id, scenario, kept)):
            raise SettingError(
                f"SANDBOX must be off: merchant {merchant_id} has live credentials for {scenario}"
            )
    about = (db, session, settings.public_url)
    return Sandbox(*about, now_ms=now_ms), TbankSandbox(*about, now_ms=now_ms)


def _pace(settings: Settings) -> Pace:
    return Pace(
        fast_ms=int(settings.fast_track_interval_s * 1000),
        slow_ms=int(settings.slow_track_interval_s * 1000),
        fast_until_ms=int(settings.fast_track_limit_s * 1000),
        longest_pause_s=settings.payment_check_interval_s,
    )


def _sale(settings: Settings, db: Database, now_ms: Callable[[], int]) -> Sale:
    return Sale(
        db,
        now_ms,
        order_life_ms=int(settings.order_expiration_minutes * 60_000),
        online_threshold_ms=int(settings.device_online_threshold_s * 1000),
    )


# --- pages ------------------------------------------------------------------------------------------


def _add_pages(app: web.Application, banks: Sequence[Sandbox | TbankSandbox]) -> None:
    for part in (customer, webhooks, agent_socket, technician, programs, operating):
        app.add_routes(part.routes())
    for bank in banks:
        app.add_routes(bank.routes())
    app.router.add_static("/static/", STATIC)
    environment = aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.globals |= {"static": _static, "text": text}


@cache
def _static(name: str) -> str:
    """Return the address of a static file; it changes with the file, so browsers may keep it for good."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


# --- running ----------------------------------------------------------------------------------------


async def _working(works: list[Run], opened: AsyncExitStack, app: web.Application) -> AsyncIterator[None]:
    """Run everything beside the handlers from start to stop, then close what was opened."""
    async with opened:
        tasks = [asyncio.create_task(for_ever(run)) for run in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _part_from_agents(app: web.Application) -> None:
    await app[keys.AGENTS].part_from_all()

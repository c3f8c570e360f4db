"""The whole server on loopback, with technicians and machines."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from argon2 import PasswordHasher

from server import keys
from server.app import make_app
from server.passwords import Passwords
from server.settings import Settings
from server.users import Users
from tests.server.clock import Clock
from tests.server.fleet import Fleet

PASSWORD = "кофе и булочка"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

Client = TestClient[web.Request, web.Application]


@dataclass
class Desk:
    """A browser at the technicians' pages, and what is behind them."""

    client: Client
    fleet: Fleet
    clock: Clock
    users: Users

    async def sign_in(
        self, name: str = "anna", password: str = PASSWORD, **form: str
    ) -> aiohttp.ClientResponse:
        """Post the login form."""
        return await self.client.post(
            "/tech/login", data={"name": name, "password": password, **form}, allow_redirects=False
        )

    async def page(self, path: str, status: int = 200) -> str:
        """Return a page's HTML."""
        response = await self.client.get(path)
        assert response.status == status
        return await response.text()

    async def csrf(self) -> str:
        """Return what the forms of this session carry."""
        cookies = self.client.session.cookie_jar.filter_cookies(self.client.make_url("/"))
        session = await self.users.session(cookies["demitasse_session"].value)
        assert session is not None
        return session.csrf

    async def post(self, path: str, **form: str) -> aiohttp.ClientResponse:
        """Post a form of one of our own pages."""
        form = {"csrf": await self.csrf(), **form}
        return await self.client.post(path, data=form, allow_redirects=False)


@asynccontextmanager
async def a_desk(database_url: str, **settings: Any) -> AsyncIterator[Desk]:
    """Run a server with the settings given; anna, a technician, and the machine dev-1 are known."""
    clock = Clock()
    app = await make_app(Settings(database_url=database_url, **settings), clock)
    users = app[keys.USERS] = Users(app[keys.DB], clock, Passwords(QUICK))
    async with TestClient(TestServer(app)) as client:
        fleet = Fleet(app[keys.DB], clock, app[keys.RULES])
        await users.add("anna", "technician", PASSWORD)
        await fleet.add("dev-1", "ул. Ленина, 1")
        yield Desk(client, fleet, clock, users)


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    """A server, and nobody signed in."""
    async with a_desk(database_url) as desk:
        yield desk


@pytest.fixture
async def at_desk(desk: Desk) -> Desk:
    """A server, and anna signed in."""
    assert (await desk.sign_in()).status == 303
    return desk

"""Injected answers: that they reach the client, and that loopback is not touched."""

import aiohttp
import pytest
from aiohttp import web
from aioresponses import aioresponses

PROVIDER = "https://provider.example/v3/payments"


async def test_an_injected_answer_reaches_the_client(answers: aioresponses):
    answers.post(PROVIDER, status=202, payload={"status": "pending"})
    async with aiohttp.ClientSession() as session, session.post(PROVIDER) as response:
        assert (response.status, await response.json()) == (202, {"status": "pending"})


async def test_an_injected_error_reaches_the_client(answers: aioresponses):
    answers.post(PROVIDER, exception=aiohttp.ServerTimeoutError())
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ServerTimeoutError):
            await session.post(PROVIDER)


async def test_loopback_is_really_asked(answers: aioresponses, aiohttp_client):
    client = await aiohttp_client(web.Application())
    assert (await client.get("/")).status == 404

"""Reads a provider's answer, and no more than one could be."""

import aiohttp

from server.payments import InDoubt

ANSWER_LIMIT_BYTES = 1024 * 1024


async def read_whole(response: aiohttp.ClientResponse) -> bytes:
    """Return the body. Raises InDoubt when it is longer than any answer."""
    raw = bytearray()
    async for chunk in response.content.iter_chunked(64 * 1024):
        raw += chunk
        if len(raw) > ANSWER_LIMIT_BYTES:
            response.close()
            raise InDoubt(f"an answer longer than {ANSWER_LIMIT_BYTES} bytes")
    return bytes(raw)

"""`python -m bench.parts`: bare parts one at a time: a durable commit, an echo over aiohttp's WebSocket."""

import asyncio
import sqlite3
import time
from statistics import median

import aiohttp

from bench.children import Said, obey


async def do(order: Said) -> Said:
    """`commit` into a file, or `echo` from a port, one after another, so often; return how long one takes."""
    if order["do"] == "commit":
        return await asyncio.to_thread(_commits, order["path"], order["times"])
    return await _echoes(order["port"], order["times"])


def _commits(path: str, times: int) -> Said:
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS orders (order_id INTEGER PRIMARY KEY, status INTEGER);"
        "CREATE TABLE IF NOT EXISTS events (order_id INTEGER, event TEXT);"
        "INSERT OR REPLACE INTO orders VALUES (1, 0)"
    )
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        database.execute("BEGIN IMMEDIATE")
        database.execute("UPDATE orders SET status = status + 1 WHERE order_id = 1")
        database.execute("INSERT INTO events VALUES (1, 'paid')")
        database.execute("COMMIT")
        taken.append(time.perf_counter() - begun)
    database.close()
    return {"p50_ms": median(taken) * 1000}


async def _echoes(port: int, times: int) -> Said:
    taken = []
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{port}/echo", compress=0) as socket,
    ):
        for _ in range(times):
            begun = time.perf_counter()
            await socket.send_str('{"kind": "make"}')
            await socket.receive_str()
            taken.append(time.perf_counter() - begun)
    return {"p50_ms": median(taken) * 1000}


if __name__ == "__main__":
    asyncio.run(obey(do))

"""What those who run the server ask: is it alive, can it serve, how is it doing; and which paths it has."""

from functools import cache
from pathlib import Path

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from server import keys
from server.errors import DatabaseError
from server.metrics import CASES, exposition
from server.moments import instant
from server.store import cases

OPENAPI = Path(__file__).resolve().parents[1] / "openapi.yaml"


def routes() -> list[web.RouteDef]:
    """Return the operating paths."""
    return [
        web.get("/health", health),
        web.get("/ready", ready),
        web.get("/metrics", metrics),
        web.get("/openapi.yaml", openapi),
    ]


async def health(request: web.Request) -> web.Response:
    """Alive."""
    return web.json_response({"status": "healthy", "timestamp": instant(request.app[keys.NOW_MS]())})


async def ready(request: web.Request) -> web.Response:
    """Able to serve: the database answers. 503 otherwise."""
    try:
        await request.app[keys.DB].read(cases.count_open)
    except DatabaseError as error:
        return web.json_response({"status": "not ready", "why": str(error)}, status=503)
    return web.json_response({"status": "ready"})


async def metrics(request: web.Request) -> web.Response:
    """Counters for Prometheus."""
    CASES.set(await request.app[keys.DB].read(cases.count_open))
    return web.Response(body=exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def openapi(request: web.Request) -> web.Response:
    """Every path of the server as OpenAPI."""
    return web.Response(body=_openapi(), content_type="application/yaml")


@cache
def _openapi() -> bytes:
    return OPENAPI.read_bytes()

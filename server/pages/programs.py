"""The machines and their failures for programs: JSON, with `Authorization: Bearer` of a technician.

Times are ISO 8601 in UTC, money is whole kopecks. Errors are `{"error": text}`.
"""

from typing import Any

from aiohttp import web

from server import keys
from server.errors import NotFound
from server.moments import instant
from server.pages.failure_pages import older_and_newer, read_limit, wanted_failures
from server.pages.machine_view import outcome
from server.pages.signed_in import by_program
from server.sale import why_not_selling
from server.store import desk
from server.store.desk import Failure, Machine
from server.store.rows import Agent
from server.texts import failure


def routes() -> list[web.RouteDef]:
    """Return every route of the programs."""
    return [
        web.get("/v1/devices", machines),
        web.get("/v1/devices/{device_uuid}", machine),
        web.get("/v1/devices/{device_uuid}/failures", failures),
    ]


@by_program
async def machines(request: web.Request) -> web.StreamResponse:
    """`{"devices": [...]}`: every machine as `machine_json` has it, by place."""
    fleet = await request.app[keys.DB].read(desk.fleet)
    return web.json_response({"devices": [machine_json(one, *_now(request)) for one in fleet]})


@by_program
async def machine(request: web.Request) -> web.StreamResponse:
    """One machine as `machine_json` has it; 404 when there is none."""
    return web.json_response(machine_json(await _machine(request), *_now(request)))


@by_program
async def failures(request: web.Request) -> web.StreamResponse:
    """`{"failures": [...], "next_before"}`: newest first, each as `failure_json` has it.

    `limit` is 1 to 100 (20). `before` is an ISO 8601 time, or the `next_before` of the answer before, which
    is null after the oldest failure.
    """
    limit = read_limit(request, default=20)
    one = await _machine(request)
    page = await wanted_failures(request, one.device.device_uuid, limit)
    shown = [failure_json(failed) for failed in page.shown]
    return web.json_response({"failures": shown, "next_before": older_and_newer(page)[0]})


def machine_json(one: Machine, now: int, threshold_ms: int) -> dict[str, Any]:
    """Return a machine.

    `device_uuid`, `location`, `merchant` {`id`, `name`};
    `online` (connected now), `connected_at` (since when, or null), `last_seen_at` (now, when it is `online`;
    null: never connected);
    `selling` (a drink can be bought now);
    `machine`: what it last said of itself {`state` (ready, busy, error, offline; null: nothing yet), `model`,
    `code`, `said`, `reported_at`}, which may be old when it is not `online`;
    `last_failure`: as `failure_json` has it, or null; `open_cases`: how many wait for a person.
    """
    device, agent = one.device, one.agent
    return {
        "device_uuid": device.device_uuid,
        "location": device.location,
        "merchant": {"id": device.merchant_id, "name": device.merchant_name},
        "online": agent is not None and agent.connected_at is not None,
        "connected_at": _instant(agent.connected_at if agent else None),
        "last_seen_at": _instant(_last_seen(agent, now)),
        "selling": why_not_selling(agent, now, threshold_ms) is None,
        "machine": {
            "state": agent.machine_state if agent else None,
            "model": agent.machine_model if agent else None,
            "code": agent.machine_code if agent else None,
            "said": agent.machine_said if agent else None,
            "reported_at": _instant(agent.machine_at if agent else None),
        },
        "last_failure": failure_json(one.last_failure) if one.last_failure else None,
        "open_cases": one.open_cases,
    }


def _last_seen(agent: Agent | None, now: int) -> int | None:
    """Return when the agent was last there. The row is written only when one comes or goes."""
    if agent is None:
        return None
    return now if agent.connected_at is not None else agent.last_seen_at


def failure_json(failed: Failure) -> dict[str, Any]:
    """Return one make attempt that failed or whose outcome is not known.

    `at` (when it became known), `commanded_at` (when the drink was ordered of the machine), `command_id`,
    `attempt_no`; `order_id`, `drink_no`, `drink_name`, `size` (small, medium, large), `price_minor`,
    `currency`; `code`, `said` (what the machine answered), `text` and `action` (cause and what to do, in
    Russian), `severity` (info, warning, critical);
    `outcome` of the drink (made, again, unknown, partial, yes, not_made); `order_status` as it is now;
    `transition` {`from`, `to`} of the order, or null; `refund_status` (null, pending, succeeded, failed).
    """
    told = failure(failed.code)
    moved = failed.from_status is not None
    return {
        "at": instant(failed.at),
        "commanded_at": instant(failed.created_at),
        "command_id": failed.command_id,
        "attempt_no": failed.attempt_no,
        "order_id": failed.order_id,
        "drink_no": failed.drink_no,
        "drink_name": failed.drink_name,
        "size": failed.size,
        "price_minor": failed.price_minor,
        "currency": failed.currency,
        "code": failed.code,
        "said": failed.said,
        "text": told.technician.ru,
        "action": told.action.ru,
        "severity": told.severity,
        "outcome": outcome(failed),
        "order_status": failed.status,
        "transition": {"from": failed.from_status, "to": failed.to_status} if moved else None,
        "refund_status": failed.refund_status,
    }


async def _machine(request: web.Request) -> Machine:
    device_uuid = request.match_info["device_uuid"]
    one = await request.app[keys.DB].read(desk.machine, device_uuid)
    if one is None:
        raise NotFound("device_not_found", device_uuid[:80])
    return one


def _now(request: web.Request) -> tuple[int, int]:
    """Return the time and after how long without its agent a machine no longer sells, in milliseconds."""
    threshold_ms = int(request.app[keys.SETTINGS].device_online_threshold_s * 1000)
    return request.app[keys.NOW_MS](), threshold_ms


def _instant(at_ms: int | None) -> str | None:
    return instant(at_ms) if at_ms is not None else None

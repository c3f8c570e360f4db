"""Whether a machine may sell a drink, and the order that a scanned link makes or finds again."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.db import Database, Transaction
from server.errors import BadRequest, Forbidden, NotFound, Unavailable
from server.known_archives import Archives
from server.order import Status
from server.store import devices, orders
from server.store.rows import Agent, Device, Drink, Order
from server.texts import failure

SIZES = ("small", "medium", "large")
"""Sizes by their number in the link: 0, 1, 2."""

CURRENCY = "RUB"

_ORDER_ID = re.compile(r"[0-9A-Za-z._:~-]{1,255}")
_NAME_LIMIT = 255


@dataclass(frozen=True)
class Link:
    """What a scanned link says, checked for its form."""

    device_uuid: str
    drink_no: str
    size: str
    order_id: str


def read_link(query: Mapping[str, str]) -> Link:
    """Return the link's parameters. Raises BadRequest that says what is missing or odd."""
    names = ("deviceUuid", "drinkNo", "drinkName", "size", "uuid")
    missing = [name for name in names if not query.get(name, "").strip()]
    if missing:
        raise BadRequest("missing_parameters", f"missing: {', '.join(missing)}")
    long = [name for name in names if len(query[name]) > _NAME_LIMIT]
    if long:
        raise BadRequest("invalid_request", f"longer than {_NAME_LIMIT}: {', '.join(long)}")
    if not _ORDER_ID.fullmatch(query["uuid"]):
        raise BadRequest("invalid_order_id", f"uuid {query['uuid'][:80]!r}")
    if query["size"] not in ("0", "1", "2"):
        raise BadRequest("invalid_request", f"size must be 0, 1 or 2, not {query['size'][:20]!r}")
    return Link(query["deviceUuid"], query["drinkNo"], SIZES[int(query["size"])], query["uuid"])


def check_order_id(order_id: str) -> str:
    """Return the id if it looks like one. Raises BadRequest."""
    if not order_id:
        raise BadRequest("missing_order_id")
    if not _ORDER_ID.fullmatch(order_id):
        raise BadRequest("invalid_order_id", f"{order_id[:80]!r}")
    return order_id


def why_not_selling(agent: Agent | None, now: int, online_threshold_ms: int) -> str | None:
    """Return why a machine cannot make a drink now, for the log; None: it can."""
    if agent is None:
        return "its agent was never connected"
    if agent.connected_at is None and now - (agent.last_seen_at or 0) > online_threshold_ms:
        return "its agent is not connected"
    if agent.machine_state == "offline":
        return f"the machine does not answer: {agent.machine_said}"
    if agent.machine_state == "error" and agent.machine_code and failure(agent.machine_code).stops_selling:
        return f"the machine says {agent.machine_code}: {agent.machine_said}"
    return None


class Sale:
    """Checks devices and makes orders."""

    def __init__(
        self, db: Database, now_ms: Callable[[], int], order_life_ms: int, online_threshold_ms: int
    ) -> None:
        self._db = db
        self._archives = Archives(db)
        self._now_ms = now_ms
        self._order_life_ms = order_life_ms
        self._online_threshold_ms = online_threshold_ms

    async def device(self, device_uuid: str) -> Device:
        """The device, if its merchant may sell. Raises NotFound, Forbidden."""
        device = await self._db.glance(devices.get, device_uuid)
        if device is None:
            raise NotFound("device_not_found", device_uuid[:80])
        if device.valid_until is not None and self._now_ms() > device.valid_until:
            raise Forbidden("merchant_expired", device.merchant_id, device_uuid)
        return device

    async def selling_device(self, device_uuid: str) -> Device:
        """The device, if it can make a drink now. Raises NotFound, Forbidden, Unavailable."""
        device = await self.device(device_uuid)
        why = await self.why_not(device_uuid)
        if why is not None:
            raise Unavailable("device_offline", f"{device_uuid}: {why}", device_uuid)
        return device

    async def why_not(self, device_uuid: str) -> str | None:
        """Why the machine cannot make a drink now, or None."""
        agent = await self._db.glance(devices.agent, device_uuid)
        return why_not_selling(agent, self._now_ms(), self._online_threshold_ms)

    async def order_of(self, link: Link) -> Order:
        """The order of a scanned link, made now or found again, in an archive too.

        Raises NotFound (device, drink), Forbidden, Unavailable, BadRequest (another order has this id, the
        size is not sold, the time is over).
        """
        device = await self.device(link.device_uuid)
        order = await self._db.glance(orders.get, link.order_id) or await self._archives.order(link.order_id)
        if order is None:
            await self.selling_device(link.device_uuid)
            drink = await self._db.glance(devices.drink, link.device_uuid, link.drink_no)
            new = self._new_order(link, device, drink)
            order = await self._db.write(find_or_add, new)
        if (order.device_uuid, order.drink_no, order.size) != (link.device_uuid, link.drink_no, link.size):
            raise BadRequest("order_mismatch", f"order {link.order_id}", link.device_uuid)
        if self._over(order):
            raise BadRequest("order_expired", f"order {link.order_id}", link.device_uuid)
        return order

    def _over(self, order: Order) -> bool:
        unpaid = order.status in (Status.CREATED, Status.NOT_PAID)
        return order.status == Status.FAILED or (unpaid and self._now_ms() > order.expires_at)

    def _new_order(self, link: Link, device: Device, drink: Drink | None) -> Order:
        if drink is None:
            raise NotFound("drink_not_found", f"{link.device_uuid}: {link.drink_no[:80]}", link.device_uuid)
        price = drink.prices.get(link.size)
        if price is None:
            detail = f"{link.device_uuid}: {link.drink_no} is not sold {link.size}"
            raise NotFound("drink_not_found", detail, link.device_uuid)
        now = self._now_ms()
        expires_at = now + self._order_life_ms
        return Order(
            order_id=link.order_id,
            device_uuid=link.device_uuid,
            drink_no=link.drink_no,
            drink_name=drink.name,
            size=link.size,
            price_minor=price,
            currency=CURRENCY,
            payment_scenario=device.payment_scenario,
            status=Status.CREATED,
            refund_status=None,
            failure_code=None,
            failure_said=None,
            attempt_no=0,
            created_at=now,
            updated_at=now,
            expires_at=expires_at,
            payment_started_at=None,
            paid_at=None,
            deadline_at=expires_at,
            version=0,
            email=None,
        )


def find_or_add(order: Order) -> Transaction[Order]:
    """The order with this id, if there is one already; else this one, now in the database."""
    known = yield from orders.get(order.order_id)
    if known is not None:
        return known
    yield from orders.add(order)
    yield from orders.add_event(
        order.order_id, order.created_at, "created", order.status, order.status, "customer"
    )
    return order

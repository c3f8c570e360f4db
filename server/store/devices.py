"""Merchants, devices, menus, and the agent beside each device."""

from typing import Any

from server.db import EVERY_ORDER, Statement, Transaction
from server.store.rows import Agent, Device, Drink, columns, from_row, many, one, update

_OF_MERCHANT = ("merchant_name", "valid_until", "holds_cards_since", "receipt")
_DEVICE = (
    ", ".join(f"devices.{name}" for name in columns(Device).split(", ") if name not in _OF_MERCHANT)
    + ", merchants.name AS merchant_name, merchants.valid_until, holds_cards_since, merchants.receipt"
)
_FROM = "FROM devices JOIN merchants ON merchants.merchant_id = devices.merchant_id"
_AGENT = columns(Agent)
_NEWEST = "device_uuid = $1 AND epoch = $2"


def get(device_uuid: str) -> Transaction[Device | None]:
    """The device with its merchant, or None."""
    rows = yield Statement(f"SELECT {_DEVICE} {_FROM} WHERE device_uuid = $1", (device_uuid,))
    return one(Device, rows)


def every() -> Transaction[list[Device]]:
    """All devices, by place."""
    rows = yield Statement(f"SELECT {_DEVICE} {_FROM} ORDER BY location, device_uuid")
    return many(Device, rows)


def drink(device_uuid: str, drink_no: str) -> Transaction[Drink | None]:
    """A drink of the device's menu, or None."""
    rows = yield Statement(
        "SELECT drink_no, name, prices FROM drinks "
        "WHERE device_uuid = $1 AND drink_no = $2 AND removed_at IS NULL",
        (device_uuid, drink_no),
    )
    return one(Drink, rows)


def drink_receipt(device_uuid: str, drink_no: str) -> Transaction[str | None]:
    """What a drink's receipts say otherwise than the merchant's, as JSON, or None."""
    rows = yield Statement(
        "SELECT receipt FROM drinks WHERE device_uuid = $1 AND drink_no = $2", (device_uuid, drink_no)
    )
    return rows[0]["receipt"] if rows else None


def menu(device_uuid: str) -> Transaction[list[Drink]]:
    """The device's drinks, in the menu's order."""
    rows = yield Statement(
        "SELECT drink_no, name, prices FROM drinks WHERE device_uuid = $1 AND removed_at IS NULL "
        "ORDER BY position, drink_no",
        (device_uuid,),
    )
    return many(Drink, rows)


def change(device_uuid: str, changes: dict[str, Any]) -> Transaction[None]:
    """Write just `changes` to the device."""
    yield Statement(*update("devices", changes, "device_uuid = $1", device_uuid), touches=EVERY_ORDER)


def credentials(merchant_id: str, scenario: str) -> Transaction[str | None]:
    """The merchant's credentials for a scenario as they are kept, sealed or in clear, or None."""
    rows = yield Statement(
        "SELECT body FROM credentials WHERE merchant_id = $1 AND scenario = $2", (merchant_id, scenario)
    )
    return rows[0]["body"] if rows else None


def every_credentials() -> Transaction[list[tuple[str, str, str]]]:
    """Merchant, scenario and kept body of all credentials."""
    rows = yield Statement(
        "SELECT merchant_id, scenario, body FROM credentials ORDER BY merchant_id, scenario"
    )
    return [(row["merchant_id"], row["scenario"], row["body"]) for row in rows]


def keep_credentials(merchant_id: str, scenario: str, body: str) -> Transaction[None]:
    """Keep the same credentials in another form."""
    yield Statement(
        "UPDATE credentials SET body = $1 WHERE merchant_id = $2 AND scenario = $3",
        (body, merchant_id, scenario),
    )


def heard(merchant_id: str, scenario: str, at: int) -> Transaction[None]:
    """A notification about a payment of this shop came; written once a minute at most."""
    yield Statement(
        "UPDATE credentials SET heard_at = $3 WHERE merchant_id = $1 AND scenario = $2 "
        "AND (heard_at IS NULL OR heard_at < $4)",
        (merchant_id, scenario, at, at - 60_000),
    )


# --- agents -----------------------------------------------------------------------------------------


def agent(device_uuid: str) -> Transaction[Agent | None]:
    """What is known of the device's agent, or None if it never had a token."""
    return one(
        Agent, (yield Statement(f"SELECT {_AGENT} FROM agents WHERE device_uuid = $1", (device_uuid,)))
    )


def every_agent() -> Transaction[list[Agent]]:
    """All agents."""
    return many(Agent, (yield Statement(f"SELECT {_AGENT} FROM agents")))


def device_of_token(token_hash: str) -> Transaction[tuple[str, bool] | None]:
    """The device whose agent has this token, or had it until a new one that was not used yet; or None.

    With it: whether an older token is valid beside this one.
    """
    rows = yield Statement(
        "SELECT device_uuid, token_hash = $1 AND previous_token_hash IS NOT NULL AS is_newer "
        "FROM agents WHERE token_hash = $1 OR previous_token_hash = $1",
        (token_hash,),
    )
    return (rows[0]["device_uuid"], bool(rows[0]["is_newer"])) if rows else None


def token_used(token_hash: str) -> Transaction[None]:
    """An agent came with this token: the one before it is void, unless it was that one."""
    yield Statement(
        "UPDATE agents SET previous_token_hash = NULL "
        "WHERE token_hash = $1 AND previous_token_hash IS NOT NULL",
        (token_hash,),
    )


def set_token(device_uuid: str, token_hash: str) -> Transaction[None]:
    """Give the device's agent a new token; the old one is valid until the new one is first used."""
    yield Statement(
        "INSERT INTO agents (device_uuid, token_hash) VALUES ($1, $2) ON CONFLICT (device_uuid) "
        "DO UPDATE SET previous_token_hash = agents.token_hash, token_hash = excluded.token_hash",
        (device_uuid, token_hash),
    )


def accept_session(device_uuid: str, changes: dict[str, Any]) -> Transaction[Agent]:
    """Begin a session: the epoch grows, `changes` are what the agent said of itself."""
    sql, values = update("agents", changes, "device_uuid = $1", device_uuid)
    sql = sql.replace(" SET ", " SET epoch = epoch + 1, ", 1)
    return from_row(Agent, (yield Statement(f"{sql} RETURNING {_AGENT}", values))[0])


def change_agent(device_uuid: str, epoch: int, changes: dict[str, Any]) -> Transaction[bool]:
    """Write just `changes` if the session is still the newest; return whether it is."""
    sql, values = update("agents", changes, _NEWEST, device_uuid, epoch)
    return bool((yield Statement(f"{sql} RETURNING device_uuid", values)))


def newest_epoch(device_uuid: str) -> Transaction[int]:
    """The newest session of the device."""
    rows = yield Statement("SELECT epoch FROM agents WHERE device_uuid = $1", (device_uuid,))
    newest: int = rows[0]["epoch"] if rows else 0
    return newest


def reported(device_uuid: str, epoch: int, seq: int | None) -> Transaction[bool]:
    """A session says its report `seq`, if it has a number; return whether the session is the newest."""
    if seq is None:
        return (yield from newest_epoch(device_uuid)) == epoch
    rows = yield Statement(
        "UPDATE agents SET acked_seq = CASE WHEN acked_seq < $3 THEN $3 ELSE acked_seq END "
        f"WHERE {_NEWEST} RETURNING epoch",  # one that came again is lower
        (device_uuid, epoch, seq),
    )
    return bool(rows)


def held_by(server_id: str) -> Transaction[dict[str, int]]:
    """The devices whose newest session is with a process, each with its epoch."""
    rows = yield Statement("SELECT device_uuid, epoch FROM agents WHERE server_id = $1", (server_id,))
    return {row["device_uuid"]: row["epoch"] for row in rows}


def number_held_by(server_id: str) -> Transaction[int]:
    """How many devices have their newest session with a process."""
    rows = yield Statement("SELECT count(*) AS number FROM agents WHERE server_id = $1", (server_id,))
    number: int = rows[0]["number"]
    return number

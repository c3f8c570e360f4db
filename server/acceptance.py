"""How a session begins in the database: its number, and which journal its device speaks from."""

import structlog

from agent import wire
from server.db import Transaction
from server.store import devices
from server.store.rows import Agent

log = structlog.get_logger()


def accept(
    device_uuid: str, server_id: str, hello: wire.Hello, now: int
) -> Transaction[tuple[Agent, str | None]]:
    """Begin a session: a new epoch, and which journal the device speaks from.

    Return also which process held the session before it, if any.
    """
    known = yield from devices.agent(device_uuid)
    journal_id, acked = _journal(known, hello)
    changes = {
        "boot_id": hello.boot_id,
        "journal_id": journal_id,
        "acked_seq": acked,
        "server_id": server_id,
        "connected_at": now,
        "last_seen_at": now,
        **machine_columns(hello.machine, now),
    }
    agent = yield from devices.accept_session(device_uuid, changes)
    return agent, known.server_id if known else None


def _journal(known: Agent | None, hello: wire.Hello) -> tuple[str, int]:
    """Return the journal's name and the highest report stored from it.

    A journal whose numbers are behind what we stored was rolled back (a restored card image): what it says
    it never saw proves nothing, so it counts as another journal.
    """
    name = hello.journal_id
    if known is None or known.journal_id is None or known.journal_id.split("@")[0] != name:
        return name, 0
    if hello.journal_high < known.acked_seq:
        log.error("the agent's journal went back in time", device_uuid=known.device_uuid, journal_id=name)
        return f"{name}@{known.epoch + 1}", hello.journal_high
    return known.journal_id, known.acked_seq


def machine_columns(machine: wire.MachineReport, now: int) -> dict[str, str | int | None]:
    """Return what is kept of a machine's state."""
    return {
        "machine_state": machine.state,
        "machine_model": machine.model[:200],
        "machine_code": machine.code,
        "machine_said": machine.said[:2000],
        "machine_at": now,
    }

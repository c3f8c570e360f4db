"""Says what happened to an order: one log record and the counters, after it is saved."""

import structlog

from server.metrics import MAKE_FAILURES, TRANSITIONS
from server.order import Event, Status
from server.progress import Change

log = structlog.get_logger()


def announce(change: Change) -> None:
    """Log and count a change that is in the database."""
    before, after = change.before.status, change.after.status
    transition = f"{before} → {after}"
    if before != after:
        TRANSITIONS.labels(before, after).inc()
    if change.event is Event.NOT_MADE and after == Status.MAKE_FAILED and before != after:
        MAKE_FAILURES.labels(change.code or "").inc()
        log.error("make failed", **_failed(change), transition=transition)
    elif change.event is Event.OUTCOME_UNKNOWN and change.effects:
        MAKE_FAILURES.labels(change.code or "").inc()
        log.error("outcome of a make is unknown", **_failed(change), transition=transition)
    else:
        log.info("order changed", **_changed(change), transition=transition)


def _changed(change: Change) -> dict[str, object]:
    record: dict[str, object] = {"order_id": change.after.order_id, "happened": change.event}
    if (make := change.make) is not None:
        about = {"device_uuid": make.device_uuid, "command_id": make.command_id, "state": make.state}
        record |= {**about, "code": change.code, "said": change.said}
    return record


def _failed(change: Change) -> dict[str, object]:
    """Return all that a technician needs: the order, every parameter of the command, the code, the words."""
    record: dict[str, object] = {
        "order_id": change.after.order_id,
        "device_uuid": change.after.device_uuid,
        "code": change.code,
        "machine_said": change.said,
    }
    make = change.make
    if make is not None:
        record |= {
            "command_id": make.command_id,
            "attempt_no": make.attempt_no,
            "drink_no": make.drink_no,
            "size": make.size,
            "price_minor": make.price_minor,
            "expires_at": make.expires_at,
            "actuated": make.actuated,
            "evidence": make.evidence,
        }
    return record

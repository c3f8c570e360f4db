"""How the sandbox bank may misbehave on request: for tests, by this object only, never over HTTP."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Harm(StrEnum):
    """What becomes of an answer of the API."""

    ERROR = "500 internal_server_error"
    BAD_GATEWAY = "502 with a page of HTML"
    PROCESSING = "202 processing, with retry_after"
    TOO_MANY = "429 too_many_requests"
    TOO_MANY_BARE = "429 without a body"
    FORBIDDEN = "403 forbidden"
    GONE = "410 gone"
    ABORT = "the connection is cut"
    SILENT = "the connection is cut after `slow_s`"
    SLOW = "the right answer after `slow_s`"
    TRUNCATED = "200 with half of its JSON"
    OVERTAKEN = "the right answer, after the customer has paid and the shop was told"


ALWAYS_DONE = frozenset([Harm.SLOW, Harm.TRUNCATED, Harm.OVERTAKEN])
"""Harms of a right answer: what was asked for is done."""


class Fault(NamedTuple):
    """One misbehaviour, before or after what was asked for is done; see `ALWAYS_DONE`."""

    harm: Harm
    after_effect: bool = False


class NoticeFault(StrEnum):
    """What becomes of the first delivery of a notification; where it is not taken, the right one follows."""

    DOUBLED = "delivered twice at once"
    FIVEFOLD = "delivered five times at once"
    DROPPED = "never delivered"
    DELAYED = "first delivered after `delay_ms`"
    ELSEWHERE = "delivered from `wrong_address`"
    WRONG_AMOUNT = "with a hundred times the amount"
    UNKNOWN_ID = "for an object that does not exist"
    UNKNOWN_EVENT = "of an event that nobody has heard of"
    UNKNOWN_FIELDS = "with fields that nobody has heard of"
    HUGE = "with `huge_bytes` more than it should have"


@dataclass
class Faults:
    """What goes wrong next, each once and in turn. Without any, the bank is faultless."""

    creates: deque[Fault] = field(default_factory=deque)
    """For `POST /payments`, `POST /refunds` and `POST /receipts`."""
    captures: deque[Fault] = field(default_factory=deque)
    """For `POST /payments/{id}/capture` and `/cancel`."""
    reads: deque[Fault] = field(default_factory=deque)
    """For every GET."""
    notices: deque[NoticeFault] = field(default_factory=deque)
    """For notifications that were not tried yet."""
    refunds_canceled_because: str = ""
    """While it is set, refunds end canceled, with this reason."""
    receipts_fail: bool = False
    """While it is set, the cash register takes no receipt: they end canceled."""
    replays_are_old: bool = False
    """A repeat with the same key shows the object as it was, and not as it is now."""
    slow_s: float = 1.0
    delay_ms: int = 60_000
    huge_bytes: int = 4 * 1024 * 1024
    wrong_address: str = "127.0.0.2"
    """Where a notification comes from that is not the bank's; of this machine's loopback network."""

    def next_create(self, harm: Harm, after_effect: bool = False) -> None:
        """Spoil the answer of one more create."""
        self.creates.append(Fault(harm, after_effect))

    def next_capture(self, harm: Harm, after_effect: bool = False) -> None:
        """Spoil the answer of one more capture or cancel."""
        self.captures.append(Fault(harm, after_effect))

    def next_read(self, harm: Harm) -> None:
        """Spoil the answer of one more question."""
        self.reads.append(Fault(harm))

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
    ABORT = "the connection is cut"
    SLOW = "the right answer after `slow_s`"
    TRUNCATED = "200 with half of its JSON"


class Fault(NamedTuple):
    """One misbehaviour, before or after what was asked for is done; SLOW and TRUNCATED always do it."""

    harm: Harm
    after_effect: bool = False


class NoticeFault(StrEnum):
    """What becomes of a notification."""

    DOUBLED = "delivered twice at once"
    DROPPED = "never delivered"
    DELAYED = "first delivered after `delay_ms`"


@dataclass
class Faults:
    """What goes wrong next, each once and in turn. Without any, the bank is faultless."""

    creates: deque[Fault] = field(default_factory=deque)
    """For `POST /payments` and `POST /refunds`."""
    reads: deque[Fault] = field(default_factory=deque)
    """For every GET."""
    notices: deque[NoticeFault] = field(default_factory=deque)
    """For notifications that were not tried yet."""
    refunds_canceled_because: str = ""
    """While it is set, refunds end canceled, with this reason."""
    replays_are_old: bool = False
    """A repeat with the same key shows the object as it was, and not as it is now."""
    slow_s: float = 1.0
    delay_ms: int = 60_000

    def next_create(self, harm: Harm, after_effect: bool = False) -> None:
        """Spoil the answer of one more create."""
        self.creates.append(Fault(harm, after_effect))

    def next_read(self, harm: Harm) -> None:
        """Spoil the answer of one more question."""
        self.reads.append(Fault(harm))

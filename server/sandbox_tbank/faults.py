"""How the sandbox T-Bank may misbehave on request: for tests, by this object only, never over HTTP."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Harm(StrEnum):
    """What becomes of an answer of the API."""

    ERROR = "HTTP 500"
    BAD_GATEWAY = "HTTP 502 with a page of HTML"
    TOO_MANY = "HTTP 429"
    REFUSED = "200 with `Success` false and the fault's error code"
    ABORT = "the connection is cut"
    SLOW = "the right answer after `slow_s`"
    TRUNCATED = "200 with half of its JSON"


class Fault(NamedTuple):
    """One misbehaviour, before or after what was asked for is done; SLOW and TRUNCATED always do it."""

    harm: Harm
    after_effect: bool = False
    code: str = "9999"
    """Of REFUSED."""


class NoticeFault(StrEnum):
    """What becomes of a notification."""

    DOUBLED = "delivered twice at once"
    DROPPED = "never delivered"
    DELAYED = "first delivered after `delay_ms`"
    OVERTAKEN = "delivered after those that are due with it"
    WRONG_TOKEN = "first delivered with a token that is wrong"


@dataclass
class Faults:
    """What goes wrong next, each once and in turn. Without any, the bank is faultless."""

    calls: defaultdict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    """For calls of the API, by method (`Init`, `Cancel`, ...)."""
    notices: deque[NoticeFault] = field(default_factory=deque)
    """For notifications that were not tried yet."""
    refunds_fail: bool = False
    """While it is set, refunds through SBP end without the money going back."""
    replays_are_old: bool = False
    """A `Cancel` that is repeated shows the status that the first one had, and not the one now."""
    only_new_is_canceled: bool = False
    """A payment whose page was shown cannot be canceled, as the documentation's table may be read."""
    receipts_required: bool = False
    """The terminal has a cash register: an `Init` without a receipt is refused."""
    slow_s: float = 1.0
    delay_ms: int = 60_000

    def next_call(self, method: str, harm: Harm, after_effect: bool = False, code: str = "9999") -> None:
        """Spoil the answer of one more call of the method."""
        self.calls[method].append(Fault(harm, after_effect, code))

    def take_call(self, method: str) -> Fault | None:
        """Return what goes wrong with this call."""
        waiting = self.calls[method]
        return waiting.popleft() if waiting else None

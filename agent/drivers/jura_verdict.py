"""What the counters and inputs of a Jura prove of one drink. Pure: times are arguments; no I/O.

`ok:` only says that a key was taken. Proof is the drink's own counter: grown by one, the drink was made; not
grown, it was not, provided that the machine was readable, idle by a bit whose meaning is known, and watched
all the while. Everything else is unknown and said so.
"""

from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from agent.drivers.jura_profiles import Profile
from agent.machine import MachineError, Outcome
from agent.wire import Actuated, Code, MakeState

WORD = 0x10000
"""Counters are 16-bit words and wrap."""


class Key(Enum):
    """What became of the key press."""

    ACCEPTED = auto()
    """The machine answered `ok:`."""
    SILENT = auto()
    """Sent whole, and not a byte came back: how a machine refuses."""
    UNCLEAR = auto()
    """Sent at least in part, and the answer was spoiled or the line was lost."""
    UNTOLD = auto()
    """The agent was restarted and cannot say whether it was sent."""


class Before(msgspec.Struct, frozen=True):
    """The evidence read before the key is pressed, as the journal keeps it (JSON)."""

    type: str
    key: str
    word: int
    count: int
    counters: tuple[int, ...]
    inputs: str


@dataclass(frozen=True)
class Limits:
    """How long, in seconds, a state must last to prove something, and when a drink is given up."""

    settle_s: float
    reconcile_s: float
    brew_limit_s: float

    @property
    def blind_s(self) -> float:
        """A longer stretch without a reading could hide a whole drink being made."""
        return 2 * self.settle_s


class Watch:
    """Readings of a machine after a key press, and the verdict they allow.

    Feed `saw` and `missed` in the order of time, then ask `verdict`.
    """

    def __init__(self, profile: Profile, before: Before, key: Key, now: float, limits: Limits) -> None:
        self._profile = profile
        self._before = before
        self._limits = limits
        self.key = key
        self._deadline = now + limits.brew_limit_s
        self._seen_at = now
        self._steady_since = now
        self._reading: tuple[tuple[int, ...], bytes] | None = None
        self._agreed = 0
        self._counted = False
        self._seen_busy = False
        self._blind = False
        self._error: MachineError | None = None

    def saw(self, counters: tuple[int, ...], inputs: bytes, at: float) -> None:
        """The machine was read: its 16 counters and its inputs."""
        self._blind = self._blind or at - self._seen_at > self._limits.blind_s
        self._seen_at = at
        self._error = None
        self._agreed = self._agreed + 1 if self._reading and self._reading[0] == counters else 1
        if self._reading != (counters, inputs):
            self._steady_since = at
        self._reading = (counters, inputs)
        self._seen_busy = self._seen_busy or self._profile.is_busy(inputs)
        self._counted = self._counted or (self._agreed > 1 and self._delta() == 1)

    def missed(self, error: MachineError) -> None:
        """The machine could not be read."""
        self._error = error

    def verdict(self, now: float) -> Outcome | None:
        """Return what is proved, or at the time limit what is left; None: go on watching."""
        late = now >= self._deadline
        if self._reading is None:
            return self._unreadable() if late else None
        if self._counted and (late or not self._busy()):
            return self._proved()
        delta = self._delta()
        if delta not in (0, 1) and self._agreed > 1:
            return _unknown(Code.TIMEOUT_NO_RESULT, self._odd(delta))
        if delta == 0 and (refused := self._refused(now)):
            return refused
        if delta == 1 and not self._error and now < self._deadline + self._limits.settle_s:
            return None  # it has just grown: one more reading proves it
        return self._given_up(now) if late else None

    def _proved(self) -> Outcome:
        if (delta := self._delta()) != 1:
            return _unknown(Code.TIMEOUT_NO_RESULT, self._odd(delta))
        said = f"{self._counter()} grew by one, from {self._before.count}"
        if others := self._others(drinks_only=True):
            said += f"; in the meantime {others} moved too: somebody else pressed a key"
        return Outcome(MakeState.DONE, None, Actuated.YES, "counter_delta", said)

    def _refused(self, now: float) -> Outcome | None:
        """Return the failure that an unmoved counter of an idle, steady machine proves before the limit."""
        if not self._idle_throughout() or self._others():
            return None
        steady_s = now - self._steady_since
        fault = self._fault()
        if self.key is Key.UNTOLD:
            enough = steady_s >= self._limits.reconcile_s
            return _not_made(Code.POWER_LOSS, self._unmoved("and the machine is idle")) if enough else None
        if steady_s < self._limits.settle_s:
            return None
        if fault:
            return _not_made(fault, self._unmoved(f"and the machine reports {fault}"))
        if self.key is Key.SILENT:
            return _not_made(Code.MACHINE_ERROR, self._unmoved("and the machine did not take the key"))
        return None

    def _given_up(self, now: float) -> Outcome:
        if self._error or now - self._seen_at > self._limits.blind_s:
            return self._unreadable()
        if self._delta():
            return _unknown(
                Code.TIMEOUT_NO_RESULT, f"{self._counter()} was seen to grow only in the last reading"
            )
        if others := self._others():
            return self._undecided(f"but {others} moved: something was made")
        if self.key is Key.UNTOLD:
            return self._undecided("but the machine does not say that it was idle")
        return self._unfinished()

    def _unfinished(self) -> Outcome:
        fault = self._fault()
        if self._blind:
            return self._undecided("but the machine could not be read all the time")
        if fault and not self._busy():
            moved = Actuated.PARTIAL if self._seen_busy else Actuated.UNKNOWN
            said = self._unmoved(f"and the machine stopped and reports {fault}")
            return Outcome(MakeState.FAILED, fault, moved, "status", said)
        if self._seen_busy:
            return self._undecided("but the machine was busy: it may have poured")
        if self.key is Key.SILENT:
            return _not_made(Code.MACHINE_ERROR, self._unmoved("and the machine did not take the key"))
        if self._idle_throughout():
            return _not_made(
                Code.MACHINE_ERROR, self._unmoved("and the machine took the key but was never busy")
            )
        return self._undecided("but this model's busy bits are not known: it may have poured")

    def _unreadable(self) -> Outcome:
        bad = self._error is not None and self._error.code is Code.SERIAL_BAD_ANSWER
        code = Code.SERIAL_BAD_ANSWER if bad else Code.SERIAL_NO_ANSWER
        said = self._error.said if self._error else "the machine was not read"
        return _unknown(code, f"the machine could not be read at the end: {said}")

    def _undecided(self, reason: str) -> Outcome:
        code = Code.POWER_LOSS if self.key is Key.UNTOLD else Code.TIMEOUT_NO_RESULT
        return _unknown(code, self._unmoved(reason))

    def _delta(self) -> int:
        return (self._counters()[self._before.word] - self._before.count) % WORD

    def _counters(self) -> tuple[int, ...]:
        return self._reading[0] if self._reading else self._before.counters

    def _busy(self) -> bool:
        return self._reading is not None and self._profile.is_busy(self._reading[1])

    def _fault(self) -> Code | None:
        return self._profile.fault(self._reading[1]) if self._reading else None

    def _idle_throughout(self) -> bool:
        return self._profile.tells_busy() and not self._seen_busy and not self._blind

    def _others(self, *, drinks_only: bool = False) -> str:
        """Name the other words that moved, for technicians."""
        pairs = enumerate(zip(self._before.counters, self._counters(), strict=True))
        moved = [word for word, (was, now) in pairs if was != now and word != self._before.word]
        names = self._profile.words
        return ", ".join(
            names.get(word, f"counter {word}") for word in moved if word in names or not drinks_only
        )

    def _counter(self) -> str:
        word = self._before.word
        return f"counter {word} ({self._profile.words.get(word, 'drink')})"

    def _unmoved(self, reason: str) -> str:
        return f"{self._counter()} stayed at {self._before.count}, {reason}"

    def _odd(self, delta: int) -> str:
        by = f"grew by {delta}" if delta < WORD // 2 else f"went back by {WORD - delta}"
        return (
            f"{self._counter()} {by}, expected one: somebody else pressed a key, or the machine was exchanged"
        )


def _not_made(code: Code, said: str) -> Outcome:
    return Outcome(MakeState.FAILED, code, Actuated.NO, "status", said)


def _unknown(code: Code, said: str) -> Outcome:
    return Outcome(MakeState.UNKNOWN, code, Actuated.UNKNOWN, "none", said)

"""A Jura in software: what it hears, what it answers, what it pours. Times are arguments; no I/O.

Its keys, counters and input bits are those of the profiles, so it can only be as true as they are. The moment
at which a real machine writes a counter is not documented; here it is the end of the drink.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from agent.drivers.jura_frames import FILLER_DB, GROUP, encode
from agent.drivers.jura_profiles import E6, E8, J6, Bit, Profile

MODELS: dict[str, tuple[Profile, str]] = {
    "E8": (E8, "EF533M V01.18"),
    "E6": (E6, "EF532M V02.03"),
    "J6": (J6, "PIM V01.01"),
}
"""Model -> its profile and its answer to `TY:`. The first is the default: its busy bits are known."""

INKASSO_S = 5.0
"""How long a machine in payment mode waits for `?ok` after `?PA` (oliverk71, psct)."""
INKASSO_LETTERS = {"04": "E", "05": "F", "06": "A", "07": "B", "0C": "G"}
"""Product letters of an S95, by key."""
QUIET_AFTER_DRINK_S = 5.0
"""A machine that falls silent after good drinks does so this long after the last: its count can be read."""
_COUNTED_ALONG = {10: 4, 13: 1, 14: 1, 15: 1}
"""What else an E8 counts for a cup: brew group moves, brews since descaling, grounds, since cleaning."""


class Fail(StrEnum):
    """How the machine fails; the values are the command line's."""

    NONE = "none"
    NO_WATER = "no-water"
    NO_BEANS = "no-beans"
    SILENT = "silent"
    LOCKED = "locked"
    NO_COUNT = "no-count"
    LATE = "late"
    DOUBLE = "double"
    UNPLUGGED = "unplugged"
    UNPLUGGED_BEFORE = "unplugged-before"
    POWER_CUT = "power-cut"
    NOISE = "noise"


@dataclass(frozen=True)
class Behaviour:
    """How a simulated machine behaves. Times in seconds; `back_s` and `recover_s` None: never."""

    model: str = "E8"
    filler: int = FILLER_DB
    fail: Fail = Fail.NONE
    fail_after: int = 0
    recover_s: float | None = None
    again: bool = False
    back_s: float | None = None
    brew_s: float = 3.0
    late_s: float = 10.0
    slow_reply_s: float = 0.0
    slow_every: int = 0
    inkasso: bool = False
    group_gap_s: float = 0.008
    seed: int = 1


@dataclass(frozen=True)
class Poured:
    """One drink that really came out."""

    key: str
    word: int
    before: int
    after: int


@dataclass
class _Drink:
    key: str
    ready_at: float
    counted_at: float
    step: int
    pours: bool


class SimulatedJura:
    """The machine. Call `advance` with the time before reading anything, and `hear` with each command.

    `pouring` is called when a drink has come out, just before it is counted. `unplugged` is true while the
    cable is out; `forbidden` lists commands that no agent may send.
    """

    def __init__(
        self, behaviour: Behaviour, counters: list[int], pouring: Callable[[Poured], None] = lambda _: None
    ) -> None:
        self.behaviour = behaviour
        self.profile, self.type = MODELS[behaviour.model]
        self.counters = counters
        self.heard: list[str] = []
        self.forbidden: list[str] = []
        self.unplugged = False
        self._pouring = pouring
        self._drink: _Drink | None = None
        self._uncounted: list[_Drink] = []
        self._good = 0
        self._good_at = float("-inf")
        self._failed_at: float | None = None
        self._healed = False
        self._off_at: float | None = None
        self._payment_mode = False
        self._asked: tuple[str, float] | None = None

    def advance(self, now: float) -> None:
        """Let time pass: a drink ends, a counter steps, a fault heals, a cable comes back."""
        behaviour = self.behaviour
        if self._failed_at is not None:
            failed_s = now - self._failed_at
            if behaviour.recover_s is not None and failed_s >= behaviour.recover_s:
                self.heal()
            if self.unplugged and behaviour.back_s is not None and failed_s >= behaviour.back_s:
                self.heal()
        self._brew_on(now)

    def hear(self, command: str, now: float) -> str | None:
        """Return the reply to a command, None for silence."""
        self.advance(now)
        self.heard.append(command)
        if command == "AN:0A" or command.startswith("WE:"):
            self.forbidden.append(command)
            return None
        if self._failing(now, Fail.UNPLUGGED_BEFORE):
            self.unplugged = True
            return None
        if self._failing(now, Fail.SILENT) or self._off(now):
            return None
        if command.startswith("?"):
            return self._pay(command[1:], now)
        return self._answer(command, now)

    def heal(self) -> None:
        """A technician has put right whatever failed; it fails again only if it shall."""
        self._healed = not self.behaviour.again
        self._good, self._failed_at = 0, None
        self._off_at = None
        self.unplugged = False

    def busy(self) -> bool:
        """Whether a drink is being made."""
        return self._drink is not None

    def _answer(self, command: str, now: float) -> str | None:
        if command == "TY:":
            return f"ty:{self.type}"
        if command == "IC:":
            return f"ic:{self._inputs().hex().upper()}"
        if command == "RT:0000":
            return "rt:" + "".join(f"{count:04X}" for count in self.counters)
        if command.startswith("RE:00") and len(command) == 7 and command[5:] < "10":
            return f"re:{self.counters[int(command[5:], 16)]:04X}"
        if command.startswith("FA:"):
            return self._press(command[3:], now)
        return None

    def _press(self, key: str, now: float) -> str | None:
        if key not in self.profile.keys or self.busy() or self._failing(now, Fail.LOCKED):
            return None
        if self._payment_mode:
            letter = INKASSO_LETTERS.get(key, "E")
            self._asked = key, now + INKASSO_S
            return f"?PA{letter}"
        if self._failing(now, Fail.NO_WATER):
            return "ok:"
        self._start(key, now)
        if self._failing(now, Fail.UNPLUGGED):
            self.unplugged = True
            return None
        return "ok:"

    def _pay(self, word: str, now: float) -> str | None:
        if not self.behaviour.inkasso:
            return None
        if word in ("M3", "M1"):
            self._payment_mode = word == "M3"
            return "?ok"
        if word == "ok" and self._asked:
            (key, until), self._asked = self._asked, None
            if now <= until:
                self._start(key, now)
        return None

    def _start(self, key: str, now: float) -> None:
        ready_at = now + self.behaviour.brew_s
        if self._failing(now, Fail.POWER_CUT):
            self._off_at = now + self.behaviour.brew_s / 2
        step, counted_at = 1, ready_at
        if self._failing(now, Fail.NO_COUNT) or self._failing(now, Fail.NO_BEANS):
            step = 0
        elif self._failing(now, Fail.LATE):
            counted_at += self.behaviour.late_s
        elif self._failing(now, Fail.DOUBLE):
            step = 2
        self._drink = _Drink(key, ready_at, counted_at, step, pours=not self._failing(now, Fail.NO_BEANS))

    def _brew_on(self, now: float) -> None:
        if self._off(now):
            self._drink = None
        drink = self._drink
        if drink and now >= drink.ready_at:
            self._drink = None
            self._uncounted.append(drink)
            if drink.pours:
                word = self.profile.keys[drink.key]
                before = self.counters[word]
                self._pouring(Poured(drink.key, word, before, (before + drink.step) & 0xFFFF))
        for counted in [drink for drink in self._uncounted if now >= drink.counted_at]:
            self._uncounted.remove(counted)
            self._count(counted)
            self._good += 1
            self._good_at = now

    def _count(self, drink: _Drink) -> None:
        steps = {self.profile.keys[drink.key]: drink.step}
        if self.profile is E8:
            steps |= {word: count * drink.step for word, count in _COUNTED_ALONG.items()}
        for word, step in steps.items():
            self.counters[word] = (self.counters[word] + step) & 0xFFFF

    def _off(self, now: float) -> bool:
        return self._off_at is not None and now >= self._off_at

    def _failing(self, now: float, fail: Fail) -> bool:
        """Whether this fault is on now; its clock starts when it is first felt."""
        behaviour = self.behaviour
        if behaviour.fail is not fail or self._healed or self._good < behaviour.fail_after:
            return False
        if fail in (Fail.SILENT, Fail.UNPLUGGED_BEFORE) and now < self._good_at + QUIET_AFTER_DRINK_S:
            return False
        if self._failed_at is None:
            self._failed_at = now
        return True

    def _inputs(self) -> bytes:
        """Every bit that the profile knows, set as the machine stands."""
        profile = self.profile
        dry = self.behaviour.fail is Fail.NO_WATER and self._failed_at is not None and not self._healed
        inputs = bytearray(2)
        stand: list[tuple[Bit | None, bool]] = [(profile.tray_missing, False), (profile.tank_empty, dry)]
        stand += [(bit, self.busy() and number == 0) for number, bit in enumerate(profile.busy)]
        for bit, holds in stand:
            if bit and (bit.when == 1) == holds:
                inputs[bit.byte] |= 1 << bit.bit
        return bytes(inputs)


def wire_groups(text: str, behaviour: Behaviour, chance: random.Random) -> Iterator[bytes]:
    """Yield the bytes of a reply, group by group; a noisy machine adds junk between and inside them."""
    data = encode(text, behaviour.filler)
    noisy = behaviour.fail is Fail.NOISE
    if noisy:
        yield chance.randbytes(chance.randrange(6))
    for at in range(0, len(data), GROUP):
        group = bytearray(data[at : at + GROUP])
        if noisy and chance.random() < 0.3:
            group.insert(chance.randrange(GROUP + 1), chance.choice(b"\x00\x12\x80\xa4\xc0"))
        if noisy and chance.random() < 0.001:
            group.insert(chance.randrange(GROUP + 1), behaviour.filler)
        yield bytes(group)

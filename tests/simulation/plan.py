"""What will go wrong in one run, drawn from its seed.

Each run has only some of the faults, so that each is seen alone, and with others, and not at all.
"""

import random
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Network:
    """Chances are per frame, except where a name says otherwise. Times are in seconds."""

    drop: float = 0.0
    double: float = 0.0
    spoil: float = 0.0
    slow: float = 0.0
    slow_s: float = 0.0
    """Longest delay of a slow frame; later frames overtake it."""
    stray: float = 0.0
    """A frame is held back and comes out of the device's next socket."""
    cut_every_s: float = 0.0
    """Mean life of a socket; 0: nobody cuts it."""
    unnoticed: float = 0.0
    """Chance, per side, that a cut is not noticed there."""
    refuse: float = 0.0
    """Chance that a connection is not made."""


@dataclass(frozen=True)
class Deaths:
    """How often a process dies, and how."""

    times: int = 0
    within_steps: int = 0
    """Each death comes at a step drawn from 1 to this."""
    asked: float = 0.0
    """Chance that it is asked to stop instead, at a moment."""
    down_s: float = 10.0
    """Longest time until it is started again."""


@dataclass(frozen=True)
class Bank:
    """Chances are per call, payment or notification."""

    before: float = 0.0
    """A call fails before it had an effect."""
    after: float = 0.0
    """A call has its effect and the answer is lost."""
    hang: float = 0.0
    stale: float = 0.0
    """An answer is of some time ago."""
    decline: float = 0.0
    lose_hint: float = 0.0
    double_hint: float = 0.0
    late_hint_s: float = 0.0
    forge: int = 0
    """Notifications that nobody at the bank has sent."""
    strangers: int = 0
    """Payments of others to the same shop."""
    revive: float = 0.0
    """A canceled payment turns out to be paid."""
    refund_waits: float = 0.0
    refund_canceled: float = 0.0


@dataclass(frozen=True)
class Machine:
    """Chances are per make, except where a name says otherwise."""

    slow: float = 0.0
    refuse: float = 0.0
    break_down: float = 0.0
    """It stops midway: no drink."""
    count_late: float = 0.0
    count_twice: float = 0.0
    cut: float = 0.0
    """The line is lost at one of the bytes of the key, the last of which takes effect."""
    mute_every_s: float = 0.0
    mute_s: float = 0.0
    """It cannot be read for up to this time, every so often; 0: never."""


@dataclass(frozen=True)
class People:
    """Chances are per customer or case."""

    click_twice: float = 0.0
    scan_again: float = 0.0
    leave: float = 0.0
    cancel: float = 0.0
    pay_late: float = 0.0
    technician: bool = False
    change_method: float = 0.0
    """The customer begins with SBP, comes back, and takes the card."""
    mistakes: float = 0.0
    """A technician decides without having looked."""


@dataclass(frozen=True)
class Plan:
    """One run. Times are in seconds."""

    seed: int
    devices: int = 1
    orders: int = 1
    arrivals_s: float = 30.0
    span_s: float = 90.0
    """The faults end here."""
    network: Network = field(default_factory=Network)
    server: Deaths = field(default_factory=Deaths)
    neighbour: Deaths | None = None
    """How a second server process over the same database dies; None: there is no second."""
    agent: Deaths = field(default_factory=Deaths)
    power_cuts: float = 0.0
    """Chance that a death of an agent is its board's: nobody is told, and what was not synced is gone."""
    new_card: float = 0.0
    """Chance that the board comes back with an empty card."""
    twin: bool = False
    """A second board with the same token, at a machine of its own, comes and goes."""
    agent_disk_full_s: float = 0.0
    server_disk_full_s: float = 0.0
    """For up to this time, once."""
    clock_days: float = 0.0
    """How far a device's clock may be off; it jumps too."""
    server_clock_ms: int = 0
    """Largest step of the server's clock, either way."""
    slow_disks: bool = False
    holds: bool = False
    """A card's money is held until the drink is made."""
    bank: Bank = field(default_factory=Bank)
    machine: Machine = field(default_factory=Machine)
    people: People = field(default_factory=People)


def draw(seed: int) -> Plan:
    """Return the plan of a seed."""
    chance = random.Random(f"{seed}/plan")
    sometimes = _Sometimes(chance)
    return Plan(
        seed,
        devices=chance.choice((1, 1, 1, 2)),
        orders=chance.choice((1, 1, 2, 2, 3, 4)),
        arrivals_s=chance.choice((1.0, 20.0, 60.0)),
        span_s=chance.choice((40.0, 80.0, 120.0)),
        network=_network(chance, sometimes) if sometimes.is_so(0.6) else Network(),
        server=_deaths(chance) if sometimes.is_so(0.4) else Deaths(),
        agent=_deaths(chance) if sometimes.is_so(0.5) else Deaths(),
        power_cuts=chance.choice((0.0, 0.5, 1.0)),
        new_card=sometimes(0.1, 0.3),
        twin=sometimes.is_so(0.06),
        agent_disk_full_s=sometimes(0.1, 40.0),
        server_disk_full_s=sometimes(0.1, 20.0),
        clock_days=sometimes(0.2, 400.0),
        server_clock_ms=int(sometimes(0.2, 900.0)),
        slow_disks=sometimes.is_so(0.3),
        bank=_bank(chance, sometimes) if sometimes.is_so(0.5) else Bank(),
        machine=_machine(chance, sometimes) if sometimes.is_so(0.5) else Machine(),
        people=_people(chance, sometimes) if sometimes.is_so(0.6) else People(),
        holds=sometimes.is_so(0.4),
    )


def two_servers(plan: Plan) -> Plan:
    """Return the plan with a second server process, which is killed again and again."""
    chance = random.Random(f"{plan.seed}/neighbour")
    dies = Deaths(
        times=chance.choice((2, 4, 8)),
        within_steps=chance.choice((30, 100, 300)),
        asked=chance.choice((0.0, 0.3)),
        down_s=chance.choice((0.1, 5.0, 20.0)),
    )
    return replace(plan, neighbour=dies)


class _Sometimes:
    """Draws a fault's strength: mostly none."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def __call__(self, how_often: float, most: float) -> float:
        return self._chance.uniform(0.1, 1.0) * most if self.is_so(how_often) else 0.0

    def is_so(self, how_often: float) -> bool:
        return self._chance.random() < how_often


def _network(chance: random.Random, sometimes: _Sometimes) -> Network:
    return Network(
        drop=sometimes(0.4, 0.3),
        double=sometimes(0.4, 0.4),
        spoil=sometimes(0.1, 0.1),
        slow=sometimes(0.5, 0.6),
        slow_s=chance.choice((0.5, 4.0, 12.0)),
        stray=sometimes(0.2, 0.5),
        cut_every_s=chance.choice((0.0, 0.0, 5.0, 20.0, 40.0)),
        unnoticed=chance.choice((0.0, 0.3, 0.7, 1.0)),
        refuse=sometimes(0.3, 0.6),
    )


def _deaths(chance: random.Random) -> Deaths:
    return Deaths(
        times=chance.choice((1, 1, 2, 4)),
        within_steps=chance.choice((30, 100, 300)),
        asked=chance.choice((0.0, 0.0, 0.3)),
        down_s=chance.choice((0.1, 5.0, 40.0)),
    )


def _bank(chance: random.Random, sometimes: _Sometimes) -> Bank:
    return Bank(
        before=sometimes(0.4, 0.6),
        after=sometimes(0.4, 0.6),
        hang=sometimes(0.2, 0.3),
        stale=sometimes(0.3, 0.5),
        decline=sometimes(0.1, 0.3),
        lose_hint=sometimes(0.4, 1.0),
        double_hint=sometimes(0.4, 1.0),
        late_hint_s=sometimes(0.4, 60.0),
        forge=chance.choice((0, 0, 1, 3)),
        strangers=chance.choice((0, 0, 0, 1)),
        revive=sometimes(0.2, 0.8),
        refund_waits=sometimes(0.5, 1.0),
        refund_canceled=sometimes(0.15, 0.6),
    )


def _machine(chance: random.Random, sometimes: _Sometimes) -> Machine:
    return Machine(
        slow=sometimes(0.2, 0.7),
        refuse=sometimes(0.3, 0.7),
        break_down=sometimes(0.3, 0.6),
        count_late=sometimes(0.3, 0.8),
        count_twice=sometimes(0.1, 0.6),
        cut=sometimes(0.4, 0.8),
        mute_every_s=chance.choice((0.0, 0.0, 20.0, 60.0)),
        mute_s=chance.choice((5.0, 30.0, 120.0)),
    )


def _people(chance: random.Random, sometimes: _Sometimes) -> People:
    return People(
        click_twice=sometimes(0.4, 0.8),
        scan_again=sometimes(0.3, 0.8),
        leave=sometimes(0.3, 0.6),
        cancel=sometimes(0.3, 0.7),
        pay_late=sometimes(0.3, 0.8),
        technician=sometimes.is_so(0.5),
        mistakes=sometimes(0.2, 0.7),
        change_method=sometimes(0.2, 0.8),
    )

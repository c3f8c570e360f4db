"""What happens to each order, drawn from a seed: who buys what and how, and what breaks meanwhile. Pure."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

Drawn = TypeVar("Drawn")

NOISE = ("--fail", "noise")
FAULTS = (
    ("--fail", "no-water", "--recover-s", "6"),
    ("--fail", "silent", "--recover-s", "6"),
    ("--fail", "locked", "--recover-s", "4"),
    ("--fail", "unplugged", "--back-s", "2"),
    ("--fail", "unplugged-before", "--back-s", "3"),
    ("--fail", "power-cut", "--recover-s", "3", "--brew-s", "2"),
    ("--fail", "no-beans", "--recover-s", "3"),
    ("--fail", "double", "--recover-s", "3"),
    NOISE,
)
"""How a machine may fail, as options of the simulator.

Machines whose counter is silent about a drink (`late`, `no-count`) are left out: together with a kill of the
agent nobody could tell, and the promise is about what can be known.
"""

TROUBLES_SHARES = (45, 35, 20)
"""Of a hundred orders: how many meet no trouble, one, and two."""

TROUBLES_WITHIN_S = 4.0
"""A calm purchase takes about three seconds from its payment."""

LONGEST_S = 3.0


class Trouble(StrEnum):
    """What breaks while an order is under way."""

    AGENT_KILLED = "agents killed"
    SERVER_KILLED = "servers killed"
    POWER_CUT = "machines' power cut"
    CABLE_CUT = "cables cut"
    CABLE_DEAD = "cables dead"
    DEAD_UPWARDS = "cables dead upwards"
    DEAD_DOWNWARDS = "cables dead downwards"
    DOUBLED = "connections doubled"


SHARES = {
    Trouble.AGENT_KILLED: 25,
    Trouble.SERVER_KILLED: 5,
    Trouble.POWER_CUT: 15,
    Trouble.CABLE_CUT: 25,
    Trouble.CABLE_DEAD: 7,
    Trouble.DEAD_UPWARDS: 7,
    Trouble.DEAD_DOWNWARDS: 7,
    Trouble.DOUBLED: 9,
}


class Way(StrEnum):
    """How a customer comes to pay."""

    PAYS = "pays"
    PRESSES_TWICE = "presses every button twice"
    CHANGES_HIS_MIND = "cancels at the bank, and pays after all"
    LEAVES = "never pays"
    PAYS_LATE_FOR_DRINK = "pays late, and wants the drink"
    PAYS_LATE_FOR_MONEY = "pays late, and wants the money"


WAY_SHARES = {
    Way.PAYS: 60,
    Way.PRESSES_TWICE: 20,
    Way.CHANGES_HIS_MIND: 12,
    Way.LEAVES: 4,
    Way.PAYS_LATE_FOR_DRINK: 2,
    Way.PAYS_LATE_FOR_MONEY: 2,
}

DRINK_SHARES = {"espresso": 60, "coffee": 36, "tea": 4}


@dataclass(frozen=True)
class Blow:
    """One trouble: when it comes after the payment, and how long what was killed stays away. Seconds."""

    trouble: Trouble
    after_s: float
    lasts_s: float


@dataclass(frozen=True)
class Errand:
    """One customer's purchase. `machine` is the place of the machine that he goes to first.

    `fault` is how that machine fails from now on; None: as it did. `forges` and `repeats` say that false
    notifications of the payment come before it, and copies of the true one after it.
    """

    number: int
    machine: int
    drink: str
    way: Way
    forges: bool
    repeats: bool
    fault: tuple[str, ...] | None
    blows: tuple[Blow, ...]


def errand(seed: int, number: int, machines: int) -> Errand:
    """Return what happens to the order of this number; the same seed gives the same."""
    chance = random.Random(f"{seed}/{number}")
    blows = chance.choices(range(len(TROUBLES_SHARES)), TROUBLES_SHARES)[0]
    return Errand(
        number=number,
        machine=chance.randrange(machines),
        drink=_drawn(chance, DRINK_SHARES),
        way=_drawn(chance, WAY_SHARES),
        forges=chance.random() < 0.15,
        repeats=chance.random() < 0.3,
        fault=chance.choice(FAULTS) if chance.random() < 0.1 else None,
        blows=tuple(_blow(chance) for _ in range(blows)),
    )


def _blow(chance: random.Random) -> Blow:
    away_s = chance.choice((0.0, chance.uniform(0, LONGEST_S)))
    return Blow(_drawn(chance, SHARES), chance.uniform(0, TROUBLES_WITHIN_S), away_s)


def _drawn(chance: random.Random, shares: Mapping[Drawn, int]) -> Drawn:
    return chance.choices(list(shares), list(shares.values()))[0]

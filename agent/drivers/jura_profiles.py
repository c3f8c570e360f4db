"""What is known of each Jura model: its keys, its counters, its input bits. Pure tables; no I/O.

Models differ in all three, so a drink is sold only by a key whose counter is known: without the counter it
could not be proved. Nothing here was measured on hardware by us; each profile names who says it. Nobody
documents when a machine writes its counter, nor whether an aborted drink counts: watch one drink of each kind
when a machine is installed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from agent.wire import Code

BREW_LIMIT_S = 120.0
"""Seconds after which a drink that still has no proof is given up. No source gives a drink's longest time;
thankthemaker/sharespresso waits 45 s for the counter of a GIGA X8, and milk drinks take longer."""


@dataclass(frozen=True)
class Bit:
    """One bit of the reply to `IC:`; the condition it stands for holds when it equals `when`."""

    byte: int
    bit: int
    when: int

    def holds(self, inputs: bytes) -> bool:
        """Whether the condition holds. A reply that is too short says no; see `Profile.reads`."""
        return self.byte < len(inputs) and inputs[self.byte] >> self.bit & 1 == self.when


@dataclass(frozen=True)
class Profile:
    """One model. `keys` maps the code of a key (`04` of `FA:04`) to the counter's word in `RT:0000`."""

    name: str
    types: tuple[str, ...]
    """Starts of the answer to `TY:` that belong to it; empty: unpublished, so any answer is taken."""
    keys: Mapping[str, int]
    words: Mapping[int, str]
    source: str
    tray_missing: Bit | None = None
    tank_empty: Bit | None = None
    busy: tuple[Bit, ...] = ()
    """Bits that say a drink is being made; none: nobody has found them, so idleness proves nothing."""
    guessed: bool = False
    brew_limit_s: float = BREW_LIMIT_S

    def fits(self, machine_type: str) -> bool:
        """Whether a machine that calls itself so may be driven by this profile."""
        return not self.types or machine_type.startswith(self.types)

    def reads(self, inputs: bytes) -> bool:
        """Whether a reply to `IC:` has every byte that this profile looks at."""
        bits = [bit for bit in (self.tray_missing, self.tank_empty, *self.busy) if bit]
        return all(bit.byte < len(inputs) for bit in bits)

    def tells_busy(self) -> bool:
        """Whether this model's busy bits are known."""
        return bool(self.busy)

    def is_busy(self, inputs: bytes) -> bool:
        """Whether the machine says that it is making a drink."""
        return any(bit.holds(inputs) for bit in self.busy)

    def fault(self, inputs: bytes) -> Code | None:
        """What the machine lacks: water before the tray, None if nothing that can be read."""
        if self.tank_empty and self.tank_empty.holds(inputs):
            return Code.NO_WATER
        if self.tray_missing and self.tray_missing.holds(inputs):
            return Code.WASTE_FULL
        return None


_COFFEE = {0: "espresso", 1: "2 espressi", 2: "coffee", 3: "2 coffees"}
_TIAANV = "tiaanv/jura COMMANDS.md, Jura_uart_map.md, components/jura/jura.h"

E8 = Profile(
    name="E8",
    types=("EF533M",),
    keys={"04": 0, "09": 2, "07": 4},
    words={0: "espresso", 1: "2 espressi", 2: "coffee", 3: "flat white", 4: "cappuccino"},
    tray_missing=Bit(0, 4, 0),
    tank_empty=Bit(1, 5, 1),
    busy=(Bit(0, 2, 0), Bit(1, 6, 1)),
    source=f"{_TIAANV}; type from py-jura (EF533M V01.18). The display keeps its page over a restart, so "
    "let it show the first one (Jutta-Proto/protocol-cpp#6)",
)

E6 = Profile(
    name="E6",
    types=("EF532M",),
    keys={"04": 0, "09": 2},
    words=_COFFEE,
    tray_missing=Bit(0, 4, 0),
    tank_empty=Bit(1, 5, 1),
    source=f"{_TIAANV}; type from Jutta-Proto (EF532M V02.03), where FA:04 to FA:09 are the six display keys "
    "and mean what the display shows. Its busy bits are not published",
)

F7 = Profile(
    name="F7",
    types=(),
    keys={"04": 0, "09": 2, "05": 4, "07": 5},
    words=_COFFEE | {4: "ristretto", 5: "cappuccino", 6: "2 ristretti"},
    tray_missing=Bit(0, 4, 0),
    tank_empty=Bit(0, 5, 1),
    source="keys from tiaanv/jura COMMANDS.md; counters and inputs from alco28/Jura-F7-ESPHOME",
)

J6 = Profile(
    name="J6",
    types=("PIM V01.01",),
    keys={"07": 0, "08": 1, "09": 2, "0A": 3},
    words=_COFFEE,
    tray_missing=Bit(0, 4, 1),
    source="ryanalden/esphome-jura-component; type from hn/jura-coffee-machine",
)

J9 = Profile(
    name="J9.3",
    types=(),
    keys={"03": 0, "05": 1, "04": 2, "06": 4, "07": 5},
    words={0: "espresso", 1: "ristretto", 2: "coffee", 3: "2 coffees", 4: "cappuccino", 5: "latte macchiato"},
    tray_missing=Bit(0, 4, 1),
    tank_empty=Bit(0, 5, 1),
    source="pvtex/esphome-jura-j9",
)

OTHER = Profile(
    name="other",
    types=(),
    keys={"04": 0, "09": 2},
    words={0: "espresso", 1: "2 espressi", 2: "coffee", 3: "flat white", 4: "cappuccino"},
    source="a guess: what E6, E8 and F7 have in common, and tiaanv/jura's default for unknown models",
    guessed=True,
)

PROFILES: Mapping[str, Profile] = {profile.name: profile for profile in (E8, E6, F7, J6, J9, OTHER)}
"""By the name used in the agent's config. `other` is taken only when it is named there."""


def profile_for_type(machine_type: str) -> Profile | None:
    """Return the profile whose published types include the answer to `TY:`, or None."""
    known = (profile for profile in PROFILES.values() if profile.types)
    return next((profile for profile in known if profile.fits(machine_type)), None)

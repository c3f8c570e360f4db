"""What a coffee machine must offer the agent, and how it may fail. Pure; no I/O.

A driver implements `Machine`. The rule that gives the methods their shape: before `make` nothing has been
sent that could move the machine, and from its first byte on only evidence decides.
"""

from dataclasses import dataclass
from typing import Protocol

from agent.wire import Actuated, Code, MachineReport, MakeState


class MachineError(Exception):
    """The machine cannot do what was asked; `code` says why, `said` what it answered (for technicians).

    Raised by `prepare`, it means that nothing was sent that could move the machine.
    """

    def __init__(self, code: Code, said: str) -> None:
        super().__init__(f"{code}: {said}")
        self.code = code
        self.said = said


@dataclass(frozen=True)
class Request:
    """One drink: the menu's number of it and the size (`small`, `medium`, `large`)."""

    drink_no: str
    size: str


@dataclass(frozen=True)
class Outcome:
    """What the evidence says of one make. `state` is DONE, FAILED or UNKNOWN."""

    state: MakeState
    code: Code | None = None
    actuated: Actuated = Actuated.NO
    evidence: str = "none"
    said: str = ""


class Machine(Protocol):
    """A driver of one machine on one serial line. One call at a time; the caller sees to that."""

    async def inspect(self) -> MachineReport:
        """Read the machine's state. Never raises for a machine that is silent or absent: that is a state."""

    async def prepare(self, request: Request) -> str:
        """Check that the drink is known and the machine able, and read the evidence before the make.

        Returns the evidence as text for the journal (its form is the driver's own).
        Raises MachineError: nothing has moved.
        """

    async def make(self, request: Request, before: str) -> Outcome:
        """Start the drink and watch until the evidence decides or the machine's time is up.

        May raise after the first byte was written: the caller then asks `reconcile`.
        """

    async def reconcile(self, request: Request, before: str) -> Outcome:
        """Decide by evidence alone what became of a make that may have been started. Starts nothing.

        A machine that cannot be read gives UNKNOWN, never a guess.
        """

    async def close(self) -> None:
        """Release the serial line. May be called twice."""

"""Everything at once, drawn from a seed: orders, repeats, questions, cuts, deaths, full disks, pulled cables.

After each storm an undisturbed agent is asked about every command, and the machine's own list of drinks says
whether it tells the truth.
"""

import asyncio
import random
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.journal_file import JournalError
from agent.machine import Outcome, Request
from agent.wire import Code, MakeState, Report
from tests.agent.conftest import Bench
from tests.fakes.clock import run, until
from tests.fakes.machine import FakeMachine

S = MakeState
COMMANDS = [f"c{number}" for number in range(12)]


class MoodyMachine(FakeMachine):
    """Its driver breaks, its cable goes and comes, and now and then a key press has no effect."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(brew_s=chance.choice([0.5, 5, 30]), prepare_s=chance.choice([0, 0.5, 3]))
        self.chance = chance

    async def make(self, request: Request, before: str) -> Outcome:
        self.makes_nothing = self.chance.random() < 0.2
        self.breaks = RuntimeError("the driver broke") if self.chance.random() < 0.3 else None
        return await super().make(request, before)


class Storm:
    def __init__(self, bench: Bench, chance: random.Random) -> None:
        self.bench = bench
        self.chance = chance
        bench.machine = MoodyMachine(chance)
        self.handiness = chance.choice([1, 0.02])

    async def rage(self) -> None:
        """Let several agents live one after another, each until a power cut."""
        for _ in range(self.chance.randint(1, 4)):
            async with self.bench.agent(welcomed=False):
                ends_at = asyncio.get_running_loop().time() + self.chance.uniform(
                    0, self.chance.choice([20, 80, 300])
                )
                while asyncio.get_running_loop().time() < ends_at:
                    self.blow()
                    await asyncio.sleep(self.chance.expovariate(1.0))

    def blow(self) -> None:
        """Do one thing to the agent."""
        bench, chance = self.bench, self.chance
        command_id = chance.choice(COMMANDS)
        match chance.choice(
            ["order"] * 6 + ["ask"] * 3 + ["cut", "late", "disk", "repair", "cable", "plug", "deaf"]
        ):
            case "order" if bench.link.connected:
                bench.server.order(command_id, command_id, chance.choice([0, 1_000, 30_000]))
            case "ask" if bench.link.connected:
                bench.server.ask(command_id)
            case "late" if bench.link.connected:
                bench.server.epoch -= 1
                bench.server.order(command_id, command_id)
                bench.server.epoch += 1
            case "cut":
                bench.server.cut()
            case "disk":
                for name in chance.sample(
                    ["receive", "reject", "bury", "start", "end", "stored", "probe"], 4
                ):
                    setattr(bench.journal, name, full)
            case "repair":
                self.repair()
            case "cable":
                bench.machine.unreadable = Code.SERIAL_NO_ANSWER
            case "plug" if chance.random() < self.handiness:
                bench.machine.unreadable = None
            case "deaf":
                bench.server.stores = chance.random() < 0.5

    def repair(self) -> None:
        """The journal's own methods are back."""
        for name in [name for name, value in vars(self.bench.journal).items() if value is full]:
            delattr(self.bench.journal, name)

    async def verdicts(self) -> dict[str, MakeState]:
        """Return what an undisturbed agent says of each command, also after its order has come again."""
        bench = self.bench
        bench.machine.unreadable, bench.server.stores = None, True
        async with bench.agent():
            await asyncio.sleep(300)
            found = {}
            for command_id in COMMANDS:
                for say in (bench.server.ask, bench.server.order, bench.server.ask):
                    heard = len(bench.server.heard)
                    say(command_id)
                    await until(lambda heard=heard: len(bench.server.heard) > heard)
                    await asyncio.sleep(1)
                found[command_id] = bench.server.last(command_id).state
            await until(lambda: bench.journal.unsent_reports(0, 1) == [])
        return found


def full(*_: object) -> None:
    raise JournalError("disk full")


def check(storm: Storm, found: dict[str, MakeState]) -> None:
    made_for = storm.bench.machine.made_for
    assert len(made_for) == len(set(made_for)), f"two drinks for one command: {made_for}"
    assert not storm.bench.machine.overlapping
    for command_id, state in found.items():
        stored = {
            each for each in storm.bench.server.states(command_id) if each.ended and each is not S.UNKNOWN
        }
        told = ({state} | stored) - {S.UNKNOWN}
        truth = {S.DONE} if command_id in made_for else {S.NOT_SEEN, S.REJECTED, S.EXPIRED, S.FAILED}
        assert state.ended, f"{command_id} was left {state}"
        assert told <= truth, f"{command_id}: {told}, but the machine made {made_for}"


def weather(seed: int) -> tuple[Storm, dict[str, MakeState]]:
    """Return a storm that is over, and what was said of the commands after it."""

    async def story(storm: Storm) -> dict[str, MakeState]:
        await storm.rage()
        return await storm.verdicts()

    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(Bench(Path(folder) / "agent.db"), random.Random(seed))
        return storm, run(story(storm))


@given(seed=st.integers(0, 2**32))
def test_no_storm_makes_a_second_drink_or_a_lie(seed: int):
    check(*weather(seed))


def test_storms_bring_every_end():
    """A guard on this module itself: what is checked above does happen."""
    reports = [report for seed in range(30) for report in weather(seed)[0].bench.server.all_heard(Report)]
    assert {report.state for report in reports} == set(MakeState)
    codes = {Code.JOURNAL_ERROR, Code.POWER_LOSS, Code.AGENT_RESTARTED, Code.EXPIRED_BEFORE_START}
    assert {report.code for report in reports} >= codes

"""The agent as a whole but for its socket: each way in which a make can go, and each thing that can break."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent.journal import Journal
from agent.journal_file import JournalError
from agent.machine import MachineError, Outcome
from agent.make import SAID_LIMIT
from agent.wire import Actuated, Code, Hello, MachineReport, MachineState, MakeState, Report
from agent.wire import Machine as MachineChanged
from tests.agent.conftest import Bench
from tests.fakes.clock import in_virtual_time, until

S = MakeState
PULLED = MachineError(Code.SERIAL_NO_ANSWER, "the cable is out")


def end_of(bench: Bench, command_id: str = "c1") -> tuple[MakeState, Code | None, Actuated]:
    """What the server has stored as the command's end."""
    ends = [
        report
        for _, report in sorted(bench.server.reports.items())
        if report.command_id == command_id and report.state.ended
    ]
    return ends[-1].state, ends[-1].code, ends[-1].actuated


async def make_one(
    bench: Bench, command_id: str = "c1", **order: Any
) -> tuple[MakeState, Code | None, Actuated]:
    bench.server.order(command_id, **order)
    await bench.ended(command_id)
    return end_of(bench, command_id)


def breaks(bench: Bench, *names: str) -> Callable[[], None]:
    """Let methods of the journal fail until the returned function is called."""
    kept = {name: getattr(bench.journal, name) for name in names}

    def fail(*_: object) -> None:
        raise JournalError("disk full")

    for name in names:
        setattr(bench.journal, name, fail)
    return lambda: [setattr(bench.journal, name, works) for name, works in kept.items()] and None


# --- one drink ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_drink_is_received_started_and_done(bench: Bench):
    async with bench.agent():
        assert await make_one(bench) == (S.DONE, None, Actuated.YES)
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]
    assert bench.machine.made == 1


@in_virtual_time
async def test_the_start_is_on_the_disk_before_the_machine_is_touched(bench: Bench):
    seen = []
    async with bench.agent():
        bench.machine.at = lambda step: seen.append((step, bench.journal.find("c1")))
        await make_one(bench)
    before = {step: record and record.state for step, record in seen}
    assert (before["prepare"], before["make"]) == (None, S.STARTED)


@in_virtual_time
async def test_a_machine_that_is_slow_to_answer_does_not_delay_the_word_that_its_command_was_received(
    bench: Bench,
):
    bench.machine.prepare_s = 5.0
    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(1)
        assert bench.server.states("c1") == [S.RECEIVED]
        assert bench.journal.find("c1").state is S.RECEIVED
        await bench.ended("c1")
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]


@in_virtual_time
async def test_a_command_is_written_before_anything_is_said_of_it(bench: Bench):
    bench.machine.prepare_s = 0.05
    written = []
    async with bench.agent():
        bench.machine.at = lambda step: bench.server.ask("c1") if step == "prepare" else None
        receive = bench.journal.receive
        bench.journal.receive = lambda record: written.append(record.state) or receive(record)
        bench.server.order("c1")
        await bench.ended("c1")
    said = [report for report in bench.server.all_heard(Report) if report.command_id == "c1"]
    assert S.NOT_SEEN not in [report.state for report in said]
    assert (written, bench.machine.made) == ([S.RECEIVED], 1)


@in_virtual_time
async def test_a_quick_drink_is_written_twice(bench: Bench):
    bench.machine.prepare_s = 0.0
    written = []

    async def carry(work: Any, /, *arguments: Any) -> Any:
        if work.__name__ in ("receive", "start", "end"):
            written.append(work.__name__)
        return work(*arguments)

    async with bench.agent(carry=carry):
        await make_one(bench)
    assert written == ["start", "end"]
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]


@in_virtual_time
async def test_a_repeat_makes_no_second_drink_at_any_moment(bench: Bench):
    async with bench.agent():
        for _ in range(40):
            bench.server.order("c1")
            await asyncio.sleep(1)
        await bench.ended("c1")
        bench.server.ask("c1")
        await until(lambda: (last := bench.server.last("c1")) and last.state is S.DONE)
    assert bench.machine.made == 1
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]


@in_virtual_time
async def test_a_second_order_during_a_make_is_rejected_for_good(bench: Bench):
    async with bench.agent():
        bench.server.order("c1")
        bench.server.order("c2")
        await bench.ended("c1")
        assert end_of(bench, "c2") == (S.REJECTED, Code.AGENT_REJECTED_BUSY, Actuated.NO)
        bench.server.order("c2")
        await asyncio.sleep(60)
    assert bench.machine.made == 1


@in_virtual_time
async def test_makes_follow_one_another(bench: Bench):
    async with bench.agent():
        for number in range(3):
            assert (await make_one(bench, f"c{number}"))[0] is S.DONE
    assert bench.machine.made == 3
    assert not bench.machine.overlapping


@in_virtual_time
async def test_a_queried_command_is_buried(bench: Bench):
    async with bench.agent():
        bench.server.ask("c1")
        await until(lambda: bench.server.last("c1"))
        bench.server.order("c1")
        await asyncio.sleep(60)
    said = [report for report in bench.server.all_heard(Report) if report.command_id == "c1"]
    assert [(report.state, report.seq) for report in said] == [(S.NOT_SEEN, None), (S.REJECTED, None)]
    assert bench.machine.made == 0


@in_virtual_time
async def test_many_questions_at_once_are_all_answered(bench: Bench):
    asked = {f"c{number}" for number in range(100)}
    async with bench.agent():
        for command_id in asked:
            bench.server.ask(command_id)
        await until(lambda: {report.command_id for report in bench.server.all_heard(Report)} == asked)
        assert len(bench.server.connections) == 1


@in_virtual_time
async def test_a_tombstone_outlives_the_agent(bench: Bench):
    async with bench.agent():
        bench.server.ask("c1")
        await until(lambda: bench.server.last("c1"))
    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(60)
    assert bench.machine.made == 0


@in_virtual_time
async def test_another_drink_under_the_same_id_is_not_made(bench: Bench):
    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(5)
        bench.server.order("c1", drink_no="latte")
        await bench.ended("c1")
    conflicts = [each for each in bench.server.all_heard(Report) if each.code is Code.PROTOCOL_CONFLICT]
    assert [each.state for each in conflicts] == [S.STARTED]
    assert bench.machine.made == 1


# --- before the start -----------------------------------------------------------------------------


@in_virtual_time
async def test_a_life_that_is_over_on_arrival_expires(bench: Bench):
    async with bench.agent():
        assert await make_one(bench, ttl_ms=0) == (S.EXPIRED, Code.EXPIRED_BEFORE_START, Actuated.NO)
    assert bench.machine.made == 0


@in_virtual_time
async def test_a_life_that_ends_while_the_machine_is_checked_expires(bench: Bench):
    bench.machine.prepare_s = 3.0
    async with bench.agent():
        end = await make_one(bench, ttl_ms=2000)
        assert end == (S.EXPIRED, Code.EXPIRED_BEFORE_START, Actuated.NO)
    assert bench.machine.made == 0


@pytest.mark.parametrize(
    ("refusal", "end"),
    [
        (MachineError(Code.NO_WATER, "ic:0000"), (S.FAILED, Code.NO_WATER)),
        (MachineError(Code.DRINK_UNKNOWN, "no such key"), (S.REJECTED, Code.DRINK_UNKNOWN)),
        (MachineError(Code.AGENT_REJECTED_BUSY, "it rinses"), (S.REJECTED, Code.AGENT_REJECTED_BUSY)),
        (MachineError(Code.SERIAL_OPEN_FAILED, "no port"), (S.FAILED, Code.SERIAL_OPEN_FAILED)),
        (RuntimeError("a mistake"), (S.FAILED, Code.INTERNAL_ERROR)),
    ],
)
def test_a_machine_that_is_not_able_is_never_started(
    bench: Bench, refusal: Exception, end: tuple[MakeState, Code]
):
    @in_virtual_time
    async def story():
        bench.machine.refuses = refusal
        async with bench.agent():
            assert await make_one(bench) == (*end, Actuated.NO)

    story()
    assert bench.server.states("c1") == [S.RECEIVED, end[0]]
    assert "make" not in bench.machine.calls


@in_virtual_time
async def test_a_machine_that_rinses_is_waited_for_within_the_life(bench: Bench):
    bench.machine.refuses = MachineError(Code.AGENT_REJECTED_BUSY, "it rinses")
    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(30)
        bench.machine.refuses = None
        await bench.ended("c1")
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]


@in_virtual_time
async def test_a_stop_waits_for_a_deaf_server_only_a_moment(bench: Bench):
    async with bench.agent() as runner:
        bench.server.stores = False
        await asyncio.sleep(1)
        bench.server.order("c1")
        await until(lambda: bench.machine.made)
        runner.stop()
        await bench.running
        assert asyncio.get_running_loop().time() < 30
        assert len(bench.journal.unsent_reports(0, 9)) == 3


@in_virtual_time
async def test_a_check_that_never_comes_back_fails_the_make(bench: Bench):
    bench.machine.prepare_s = 1e9
    async with bench.agent():
        assert await make_one(bench) == (S.FAILED, Code.SERIAL_NO_ANSWER, Actuated.NO)


# --- after the start ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_driver_that_breaks_after_the_drink_is_done_by_evidence(bench: Bench):
    bench.machine.breaks = RuntimeError("a mistake")
    async with bench.agent():
        assert await make_one(bench) == (S.DONE, None, Actuated.YES)
    assert bench.machine.calls.count("make") == 1


@in_virtual_time
async def test_a_driver_that_breaks_without_a_drink_is_failed_by_evidence(bench: Bench):
    bench.machine.breaks = MachineError(Code.NO_BEANS, "no beans")
    bench.machine.makes_nothing = True
    async with bench.agent():
        assert await make_one(bench) == (S.FAILED, Code.NO_BEANS, Actuated.NO)


@in_virtual_time
async def test_a_machine_that_hangs_is_given_up_and_read(bench: Bench):
    bench.machine.brew_s = 1e9
    async with bench.agent():
        assert await make_one(bench) == (S.DONE, None, Actuated.YES)


def pull_the_cable(bench: Bench) -> None:
    def at(step: str) -> None:
        if step == "key pressed":
            bench.machine.unreadable = Code.SERIAL_NO_ANSWER

    bench.machine.at = at
    bench.machine.breaks = PULLED


@in_virtual_time
async def test_a_machine_that_cannot_be_read_gives_no_claim(bench: Bench):
    pull_the_cable(bench)
    async with bench.agent():
        assert await make_one(bench) == (S.UNKNOWN, Code.SERIAL_NO_ANSWER, Actuated.UNKNOWN)
        assert "the cable is out" in bench.server.reports[3].said


@in_virtual_time
async def test_a_cable_put_back_soon_gives_proof(bench: Bench):
    pull_the_cable(bench)
    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(50)
        bench.machine.unreadable = None
        await bench.ended("c1")
        assert end_of(bench) == (S.DONE, None, Actuated.YES)


@in_virtual_time
async def test_a_cable_put_back_some_minutes_later_gives_late_proof(bench: Bench):
    pull_the_cable(bench)
    async with bench.agent():
        await make_one(bench)
        await asyncio.sleep(300)
        bench.machine.unreadable = None
        await until(lambda: bench.server.states("c1")[-1] is S.DONE)
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.UNKNOWN, S.DONE]


@in_virtual_time
async def test_a_cable_put_back_an_hour_later_proves_nothing(bench: Bench):
    pull_the_cable(bench)
    async with bench.agent():
        await make_one(bench)
        await asyncio.sleep(3600)
        bench.machine.unreadable = None
        await asyncio.sleep(600)
        assert end_of(bench)[0] is S.UNKNOWN


@in_virtual_time
async def test_a_drink_made_since_is_no_proof_of_the_one_before(bench: Bench):
    pull_the_cable(bench)
    async with bench.agent():
        bench.machine.makes_nothing = True
        await make_one(bench)
        bench.machine.makes_nothing, bench.machine.breaks = False, None
        bench.machine.at = lambda step: None
        bench.machine.unreadable = None
        assert (await make_one(bench, "c2"))[0] is S.DONE
        await asyncio.sleep(300)
    assert (bench.machine.made, bench.server.states("c1")[-1]) == (1, S.UNKNOWN)


@in_virtual_time
async def test_late_proof_is_not_sought_while_a_new_make_is_written_down(bench: Bench):
    async def slow_disk(work: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0.05 if work == bench.journal.receive else 0)
        return work(*arguments)

    def order_during_the_inspection(step: str) -> None:
        if step == "inspect" and not bench.server.states("c2"):
            bench.server.order("c2")

    pull_the_cable(bench)
    bench.machine.makes_nothing = True
    async with bench.agent(carry=slow_disk):
        await make_one(bench)
        bench.machine.makes_nothing, bench.machine.breaks, bench.machine.unreadable = False, None, None
        bench.machine.at = order_during_the_inspection
        await bench.ended("c2")
        await asyncio.sleep(60)
    assert (bench.machine.made, bench.server.states("c2")[-1]) == (1, S.DONE)
    assert bench.server.states("c1")[-1] is S.UNKNOWN
    assert not bench.machine.overlapping


@in_virtual_time
async def test_a_long_story_of_the_machine_is_cut_to_fit_its_frame(bench: Bench):
    bench.machine.outcome = Outcome(S.FAILED, Code.MACHINE_ERROR, said="x" * 1_000_000)
    bench.machine.report = MachineReport(MachineState.READY, said="y" * 1_000_000)
    async with bench.agent():
        await make_one(bench)
    assert len(bench.server.reports[3].said) == SAID_LIMIT


# --- restarts -------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_command_not_begun_before_a_power_cut_expires(bench: Bench):
    bench.machine.prepare_s = 5.0
    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(1)
    async with bench.agent():
        await bench.ended("c1")
    assert end_of(bench) == (S.EXPIRED, Code.AGENT_RESTARTED, Actuated.NO)
    assert bench.machine.made == 0


@pytest.mark.parametrize(("makes_nothing", "state"), [(False, S.DONE), (True, S.FAILED)])
def test_a_make_cut_off_by_a_power_cut_is_settled_by_evidence(
    bench: Bench, makes_nothing: bool, state: MakeState
):
    @in_virtual_time
    async def story():
        bench.machine.makes_nothing = makes_nothing
        async with bench.agent():
            bench.server.order("c1")
            await asyncio.sleep(5)
        async with bench.agent():
            await bench.ended("c1")

    story()
    assert end_of(bench)[0] is state
    assert bench.machine.calls.count("make") == 1


@in_virtual_time
async def test_a_machine_silent_after_a_power_cut_leaves_power_loss(bench: Bench):
    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(5)
    bench.machine.unreadable = Code.SERIAL_OPEN_FAILED
    async with bench.agent():
        bench.server.order("c2")
        await bench.ended("c1")
        assert end_of(bench) == (S.UNKNOWN, Code.POWER_LOSS, Actuated.UNKNOWN)
        assert end_of(bench, "c2") == (S.REJECTED, Code.AGENT_REJECTED_BUSY, Actuated.NO)


@in_virtual_time
async def test_a_machine_that_proves_nothing_after_a_power_cut_soon_makes_drinks_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    async def no_proof(*_: object) -> Outcome:
        await asyncio.sleep(120)
        return Outcome(S.UNKNOWN, Code.POWER_LOSS, Actuated.UNKNOWN, said="its busy bits are not known")

    async with bench.agent():
        bench.server.order("c1")
        await asyncio.sleep(5)
    monkeypatch.setattr(bench.machine, "reconcile", no_proof)
    async with bench.agent():
        await bench.ended("c1")
        await asyncio.sleep(2 * 120)
        assert (await make_one(bench, "c2"))[0] is S.DONE
    assert end_of(bench) == (S.UNKNOWN, Code.POWER_LOSS, Actuated.UNKNOWN)


@in_virtual_time
async def test_a_stop_lets_the_drink_end_and_takes_no_new_one(bench: Bench):
    async with bench.agent() as runner:
        bench.server.order("c1")
        await asyncio.sleep(5)
        runner.stop()
        bench.server.order("c2")
        await bench.running
        assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]
        assert bench.server.states("c2") == [S.REJECTED]
    assert bench.machine.closed


@in_virtual_time
async def test_a_stop_starts_nothing_that_was_only_received(bench: Bench):
    bench.machine.prepare_s = 5.0
    async with bench.agent() as runner:
        bench.server.order("c1")
        await asyncio.sleep(1)
        runner.stop()
        await bench.running
        assert bench.journal.find("c1").code is Code.AGENT_RESTARTED
    assert bench.machine.made == 0


@in_virtual_time
async def test_a_stop_does_not_wait_for_ever(bench: Bench):
    async with bench.agent(drain_s=10) as runner:
        bench.server.order("c1")
        await asyncio.sleep(5)
        runner.stop()
        await bench.running
        assert asyncio.get_running_loop().time() < 20
        assert bench.journal.find("c1").state is S.STARTED
    async with bench.agent():
        await bench.ended("c1")
    assert bench.machine.made == 1


# --- a broken journal -----------------------------------------------------------------------------


@in_virtual_time
async def test_a_full_disk_refuses_new_makes_and_says_so(bench: Bench):
    async with bench.agent():
        breaks(bench, "receive", "reject", "bury", "start", "end", "probe", "stored")
        bench.server.order("c1")
        await until(lambda: bench.server.last("c1"))
        assert bench.server.last("c1").state is S.REJECTED
        assert bench.server.last("c1").code is Code.JOURNAL_ERROR
        report = bench.server.all_heard(MachineChanged)[-1].machine
        assert (report.state, report.code) == (MachineState.ERROR, Code.JOURNAL_ERROR)
    assert bench.machine.made == 0


@in_virtual_time
async def test_a_make_refused_by_a_full_disk_stays_refused_when_there_is_room(bench: Bench):
    async with bench.agent():
        mend = breaks(bench, "receive", "reject", "probe")
        bench.server.order("c1")
        await asyncio.sleep(12)
        mend()
        await bench.ended("c1")
        bench.server.order("c1")
        await asyncio.sleep(60)
        assert end_of(bench)[:2] == (S.REJECTED, Code.JOURNAL_ERROR)
        assert bench.server.all_heard(MachineChanged)[-1].machine.state is MachineState.READY
        assert (await make_one(bench, "c2"))[0] is S.DONE
    assert bench.machine.made == 1


@in_virtual_time
async def test_a_start_that_cannot_be_written_is_no_start(bench: Bench):
    async with bench.agent():
        mend = breaks(bench, "start", "probe")
        bench.server.order("c1")
        await asyncio.sleep(12)
        mend()
        await bench.ended("c1")
        assert end_of(bench) == (S.FAILED, Code.JOURNAL_ERROR, Actuated.NO)
    assert bench.machine.made == 0


@in_virtual_time
async def test_a_result_that_cannot_be_written_is_told_at_once_and_written_later(bench: Bench):
    async with bench.agent():
        mend = breaks(bench, "end", "probe")
        bench.server.order("c1")
        await until(lambda: (last := bench.server.last("c1")) and last.state is S.DONE)
        assert bench.server.last("c1").seq is None
        bench.server.order("c2")
        bench.server.ask("c1")
        await asyncio.sleep(12)
        assert (bench.server.last("c1").state, bench.server.last("c2").state) == (S.DONE, S.REJECTED)
        mend()
        await bench.ended("c1")
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]


@in_virtual_time
async def test_a_tombstone_that_cannot_be_written_is_not_claimed(bench: Bench):
    async with bench.agent():
        breaks(bench, "bury", "reject", "probe")
        bench.server.ask("c1")
        await until(lambda: bench.server.last("c1"))
        assert bench.server.last("c1").state is S.REJECTED
        bench.server.order("c1")
        await asyncio.sleep(60)
    assert bench.machine.made == 0


@in_virtual_time
async def test_nothing_is_said_of_a_command_that_cannot_be_looked_up(bench: Bench):
    async with bench.agent():
        await make_one(bench)
        heard = len(bench.server.all_heard(Report))
        mend = breaks(bench, "find", "probe")
        bench.server.ask("c1")
        await asyncio.sleep(12)
        assert len(bench.server.all_heard(Report)) == heard
        mend()
        await asyncio.sleep(12)
        bench.server.ask("c1")
        await until(lambda: len(bench.server.all_heard(Report)) > heard)
        assert bench.server.last("c1").state is S.DONE


@in_virtual_time
async def test_a_command_whose_acceptance_is_not_written_by_a_mistake_of_ours_is_written_with_its_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
):
    def stumble(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(Journal, "receive", stumble)
    bench.machine.prepare_s = 5.0
    async with bench.agent():
        assert (await make_one(bench, "c1"))[0] is S.DONE
        assert (await make_one(bench, "c2"))[0] is S.DONE
    assert bench.server.states("c1") == [S.RECEIVED, S.STARTED, S.DONE]


# --- the machine's state --------------------------------------------------------------------------


def states_told(bench: Bench) -> list[MachineState]:
    return [message.machine.state for message in bench.server.all_heard(MachineChanged)]


@in_virtual_time
async def test_the_machines_state_is_told_when_it_changes(bench: Bench):
    async with bench.agent():
        await asyncio.sleep(60)
        assert states_told(bench) == [MachineState.READY]
        bench.machine.report = MachineReport(MachineState.ERROR, "FAKE 1", Code.NO_WATER)
        await asyncio.sleep(60)
        bench.machine.unreadable = Code.SERIAL_NO_ANSWER
        await asyncio.sleep(60)
    assert states_told(bench) == [MachineState.READY, MachineState.ERROR, MachineState.OFFLINE]


@in_virtual_time
async def test_a_make_is_told_as_busy_and_nothing_is_asked_of_the_machine_meanwhile(bench: Bench):
    async with bench.agent():
        await asyncio.sleep(5)
        await make_one(bench)
        await asyncio.sleep(1)
    assert states_told(bench) == [MachineState.READY, MachineState.BUSY, MachineState.READY]
    start = bench.machine.calls.index("make")
    assert bench.machine.calls[start : start + 2] == ["make", "inspect"]
    assert not bench.machine.overlapping


@in_virtual_time
async def test_an_inspection_that_breaks_is_an_offline_machine(bench: Bench):
    def at(step: str) -> None:
        if step == "inspect":
            raise RuntimeError("a mistake")

    bench.machine.at = at
    async with bench.agent():
        await asyncio.sleep(1)
    assert [hello.machine.state for hello in bench.server.all_heard(Hello)] == [MachineState.OFFLINE]


@in_virtual_time
async def test_old_commands_are_pruned_every_day(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("agent.journal.KEEP_NEWEST", 0)
    async with bench.agent():
        await make_one(bench)
        bench.now_ms += 40 * 24 * 3600 * 1000
        await asyncio.sleep(25 * 3600)
        assert bench.journal.find("c1") is None

"""The driver against the simulated machine, over a real pseudo-terminal."""

import asyncio
import contextlib
import json
from dataclasses import replace

import pytest

from agent.drivers import open_machine
from agent.drivers.jura import JuraMachine
from agent.drivers.jura_frames import FILLER_5B, FILLER_DB
from agent.drivers.jura_simulated import Fail
from agent.machine import MachineError, Outcome, Request
from agent.wire import Actuated, Code, MachineState, MakeState
from tests.agent.drivers.conftest import ESPRESSO, HURRY, Bench, Benches, until

PATIENT = replace(HURRY, reply_s=2.0, gap_s=0.2)
"""For a machine that always answers, but late where other processes take the cores."""


async def refusal(bench: Bench, request: Request = ESPRESSO) -> MachineError:
    with pytest.raises(MachineError) as raised:
        await bench.driver.prepare(request)
    assert bench.keys_heard == 0
    return raised.value


def assert_outcome(outcome: Outcome, state: MakeState, code: Code | None, actuated: Actuated) -> None:
    assert (outcome.state, outcome.code, outcome.actuated) == (state, code, actuated), outcome.said


async def test_a_ready_machine_says_its_model_and_what_it_answered(bench: Benches) -> None:
    report = await (await bench()).driver.inspect()
    assert (report.state, report.model, report.code) == (MachineState.READY, "EF533M V01.18", None)
    assert "TY: -> ty:EF533M V01.18; IC: -> ic:1400; RT:0000 -> rt:" in report.said


async def test_a_drink_is_proved_by_its_counter(bench: Benches) -> None:
    machine = await bench()
    outcome = await machine.buy()
    assert_outcome(outcome, MakeState.DONE, None, Actuated.YES)
    assert outcome.evidence == "counter_delta"
    assert machine.simulator.machine.counters[0] == machine.poured == machine.keys_heard == 1
    assert "FA:04 -> ok:" in outcome.said


async def test_the_driver_asks_the_type_once_for_each_connection(bench: Benches) -> None:
    machine = await bench()
    await machine.driver.inspect()
    await machine.buy()
    await machine.driver.inspect()
    assert machine.simulator.machine.heard.count("TY:") == 1


@pytest.mark.parametrize("filler", [FILLER_DB, FILLER_5B])
async def test_noise_in_either_filler_does_not_keep_anyone_from_coffee(bench: Benches, filler: int) -> None:
    machine = await bench(fail=Fail.NOISE, filler=filler)
    for _ in range(3):
        assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)
    assert machine.poured == machine.keys_heard == 3


async def test_a_counter_that_wraps_has_grown_by_one(bench: Benches) -> None:
    machine = await bench(counters=[0xFFFF] + [7] * 15)
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)
    assert machine.simulator.machine.counters[0] == 0


OUTCOMES = [
    (Fail.NO_WATER, "E8", MakeState.FAILED, Code.NO_WATER, Actuated.NO, 0),
    (Fail.NO_BEANS, "E8", MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN, 0),
    (Fail.LOCKED, "E8", MakeState.FAILED, Code.MACHINE_ERROR, Actuated.NO, 0),
    (Fail.NO_COUNT, "E8", MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN, 1),
    (Fail.DOUBLE, "E8", MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN, 1),
    (Fail.POWER_CUT, "E8", MakeState.UNKNOWN, Code.SERIAL_NO_ANSWER, Actuated.UNKNOWN, 0),
    (Fail.UNPLUGGED, "E8", MakeState.UNKNOWN, Code.SERIAL_NO_ANSWER, Actuated.UNKNOWN, 1),
    (Fail.NO_WATER, "E6", MakeState.FAILED, Code.NO_WATER, Actuated.UNKNOWN, 0),
    (Fail.LOCKED, "E6", MakeState.FAILED, Code.MACHINE_ERROR, Actuated.NO, 0),
    (Fail.NO_COUNT, "E6", MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN, 1),
]


@pytest.mark.parametrize(("fail", "model", "state", "code", "actuated", "poured"), OUTCOMES)
async def test_each_failure_ends_as_what_is_proved_and_the_key_is_pressed_once(
    bench: Benches, fail: Fail, model: str, state: MakeState, code: Code, actuated: Actuated, poured: int
) -> None:
    machine = await bench(fail=fail, model=model)
    outcome = await machine.buy()
    assert_outcome(outcome, state, code, actuated)
    assert machine.keys_heard == 1
    assert machine.poured == poured


async def test_a_counter_that_steps_late_is_waited_for(bench: Benches) -> None:
    machine = await bench(fail=Fail.LATE, late_s=0.3)
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)


async def test_a_cable_that_comes_back_lets_the_counter_prove_the_drink(bench: Benches) -> None:
    machine = await bench(fail=Fail.UNPLUGGED, back_s=0.3, timing=PATIENT)
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)
    assert machine.keys_heard == 1
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)
    assert machine.keys_heard == machine.poured == 2


async def test_a_tank_that_was_filled_lets_the_machine_sell_again(bench: Benches) -> None:
    machine = await bench(fail=Fail.NO_WATER)
    await machine.buy()
    assert (await machine.driver.inspect()).code is Code.NO_WATER
    assert (await refusal_after(machine)).code is Code.NO_WATER
    machine.simulator.machine.heal()
    assert (await machine.driver.inspect()).state is MachineState.READY
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)


async def refusal_after(bench: Bench) -> MachineError:
    with pytest.raises(MachineError) as raised:
        await bench.driver.prepare(ESPRESSO)
    return raised.value


async def test_a_silent_machine_is_offline_and_is_not_asked_for_coffee(bench: Benches) -> None:
    machine = await bench(fail=Fail.SILENT)
    report = await machine.driver.inspect()
    assert (report.state, report.code) == (MachineState.OFFLINE, Code.SERIAL_NO_ANSWER)
    assert (await refusal(machine)).code is Code.SERIAL_NO_ANSWER


async def test_a_cable_that_is_out_is_said_and_forgiven_when_it_is_back(bench: Benches) -> None:
    machine = await bench(fail=Fail.UNPLUGGED_BEFORE)
    assert (await refusal(machine)).code is Code.SERIAL_OPEN_FAILED
    report = await machine.driver.inspect()
    assert (report.state, report.code) == (MachineState.OFFLINE, Code.SERIAL_OPEN_FAILED)
    assert str(machine.simulator.link) in report.said and "plugged in" in report.said
    machine.simulator.machine.heal()
    await until(machine.simulator.link.exists)
    assert (await machine.driver.inspect()).state is MachineState.READY
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)


async def test_a_cable_that_was_out_for_a_moment_between_two_sales_is_not_noticed(bench: Benches) -> None:
    machine = await bench()
    await machine.driver.inspect()
    machine.simulator.machine.unplugged = True
    await until(lambda: not machine.simulator.link.exists())
    machine.simulator.machine.unplugged = False
    await until(machine.simulator.link.exists)
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)


async def test_a_line_that_is_lost_before_the_key_means_that_nothing_was_made(bench: Benches) -> None:
    machine = await bench()
    before = await machine.driver.prepare(ESPRESSO)
    machine.simulator.machine.unplugged = True
    await until(lambda: not machine.simulator.link.exists())
    outcome = await machine.driver.make(ESPRESSO, before)
    assert (outcome.state, outcome.actuated) == (MakeState.FAILED, Actuated.NO)
    assert outcome.code in (Code.SERIAL_NO_ANSWER, Code.SERIAL_OPEN_FAILED)
    assert machine.keys_heard == 0


async def test_a_busy_machine_is_not_pressed(bench: Benches) -> None:
    machine = await bench(brew_s=60.0)
    machine.simulator.machine.hear("FA:09", asyncio.get_running_loop().time())
    machine.simulator.machine.heard.clear()
    assert (await machine.driver.inspect()).state is MachineState.BUSY
    assert (await refusal(machine)).code is Code.AGENT_REJECTED_BUSY


@pytest.mark.parametrize(
    "request_", [Request("hot water", "small"), Request("espresso", "large"), Request("tea", "small")]
)
async def test_a_drink_that_could_not_be_proved_or_is_not_configured_is_refused(
    bench: Benches, request_: Request
) -> None:
    error = await refusal(await bench(), request_)
    assert error.code is Code.DRINK_UNKNOWN
    assert f"machine.products.{request_.drink_no}.{request_.size}" in error.said


async def test_a_machine_of_another_type_than_the_profile_is_not_pressed(bench: Benches) -> None:
    machine = await bench(profile="E6")
    error = await refusal(machine)
    assert error.code is Code.MACHINE_ERROR and "EF533M" in error.said and "machine.profile" in error.said


async def test_a_machine_exchanged_since_the_check_is_not_pressed(bench: Benches) -> None:
    machine = await bench()
    before = json.loads(await machine.driver.prepare(ESPRESSO)) | {"type": "EF532M V02.03"}
    outcome = await machine.driver.make(ESPRESSO, json.dumps(before))
    assert_outcome(outcome, MakeState.FAILED, Code.SERIAL_BAD_ANSWER, Actuated.NO)
    assert machine.keys_heard == 0


async def test_the_evidence_before_the_make_is_what_the_journal_needs(bench: Benches) -> None:
    before = json.loads(await (await bench(counters=[17] + [0] * 15)).driver.prepare(ESPRESSO))
    assert (before["type"], before["key"], before["word"], before["count"]) == ("EF533M V01.18", "04", 0, 17)
    assert (before["inputs"], len(before["counters"])) == ("1400", 16)


async def test_late_replies_are_not_taken_for_the_next_answers(bench: Benches) -> None:
    machine = await bench(slow_every=3, slow_reply_s=0.3, timing=replace(HURRY, reply_s=0.2, attempts=4))
    assert_outcome(await machine.buy(), MakeState.DONE, None, Actuated.YES)
    assert machine.keys_heard == machine.poured == 1


async def test_a_late_ok_tells_that_the_key_was_taken_after_all(bench: Benches) -> None:
    machine = await bench(model="E6", fail=Fail.NO_COUNT)
    before = await machine.driver.prepare(ESPRESSO)
    quick = machine.simulator.machine.behaviour
    machine.simulator.machine.behaviour = replace(quick, slow_every=1, slow_reply_s=0.4)
    making = asyncio.create_task(machine.driver.make(ESPRESSO, before))
    await until(lambda: machine.keys_heard == 1)
    machine.simulator.machine.behaviour = quick
    # The same machine without `ok:` would have refused the key: see OUTCOMES.
    assert_outcome(await making, MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN)
    assert machine.keys_heard == 1


async def test_after_a_restart_the_counter_proves_the_drink(bench: Benches) -> None:
    machine = await bench()
    before = await machine.driver.prepare(ESPRESSO)
    making = asyncio.create_task(machine.driver.make(ESPRESSO, before))
    await until(lambda: machine.keys_heard == 1)
    making.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await making
    await machine.driver.close()
    outcome = await machine.driver.reconcile(ESPRESSO, before)
    assert_outcome(outcome, MakeState.DONE, None, Actuated.YES)
    assert machine.keys_heard == machine.poured == 1


RECONCILED = [
    ("E8", MakeState.FAILED, Code.POWER_LOSS, Actuated.NO),
    ("E6", MakeState.UNKNOWN, Code.POWER_LOSS, Actuated.UNKNOWN),
]


@pytest.mark.parametrize(("model", "state", "code", "actuated"), RECONCILED)
async def test_after_a_restart_an_unmoved_counter_proves_only_what_the_busy_bit_allows(
    bench: Benches, model: str, state: MakeState, code: Code, actuated: Actuated
) -> None:
    machine = await bench(model=model)
    before = await machine.driver.prepare(ESPRESSO)
    assert_outcome(await machine.driver.reconcile(ESPRESSO, before), state, code, actuated)
    assert machine.keys_heard == 0


async def test_a_short_limit_leaves_the_time_to_prove_after_a_restart(bench: Benches) -> None:
    machine = await bench(timing=replace(HURRY, brew_limit_s=0.1))
    before = await machine.driver.prepare(ESPRESSO)
    outcome = await machine.driver.reconcile(ESPRESSO, before)
    assert_outcome(outcome, MakeState.FAILED, Code.POWER_LOSS, Actuated.NO)


async def test_after_a_restart_a_machine_that_cannot_be_read_is_not_guessed_at(bench: Benches) -> None:
    machine = await bench()
    before = await machine.driver.prepare(ESPRESSO)
    machine.simulator.machine.behaviour = replace(machine.simulator.machine.behaviour, fail=Fail.SILENT)
    machine.simulator.machine._good_at = float("-inf")
    outcome = await machine.driver.reconcile(ESPRESSO, before)
    assert_outcome(outcome, MakeState.UNKNOWN, Code.SERIAL_NO_ANSWER, Actuated.UNKNOWN)


async def test_the_driver_never_sends_what_harms_a_machine(bench: Benches) -> None:
    machine = await bench()
    await machine.driver.inspect()
    await machine.buy()
    assert set(machine.simulator.machine.heard) == {"TY:", "IC:", "RT:0000", "FA:04"}
    assert machine.simulator.machine.forbidden == []


async def test_close_may_be_called_twice_and_the_driver_used_again(bench: Benches) -> None:
    machine = await bench()
    await machine.driver.close()
    await machine.driver.inspect()
    await machine.driver.close()
    await machine.driver.close()
    assert (await machine.driver.inspect()).state is MachineState.READY


WRONG = [
    ("jura", "E99", {}, "machine.profile"),
    ("jura", "auto", {"latte": {"small": "AN:0A"}}, "machine.products.latte.small"),
    ("jura", "auto", {"latte": {"small": "FA:4"}}, "machine.products.latte.small"),
    ("jura", "auto", {"latte": {"huge": "FA:04"}}, "machine.products.latte.huge"),
    ("toaster", "auto", {}, "machine.driver"),
]


@pytest.mark.parametrize(("driver", "profile", "products", "key"), WRONG)
def test_a_wrong_config_is_refused_by_the_name_of_its_key(
    driver: str, profile: str, products: dict[str, dict[str, str]], key: str
) -> None:
    with pytest.raises(ValueError, match=key):
        open_machine(driver, "/dev/null", profile, products)


def test_the_registry_makes_the_driver_that_is_named() -> None:
    assert isinstance(open_machine("jura", "/dev/ttyUSB0", "auto", {}), JuraMachine)

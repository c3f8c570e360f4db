"""The simulated machine itself: no loop, no terminal; the seconds are numbers."""

import random

import pytest

from agent.drivers.jura_frames import Decoder, Line, looks_like_filler
from agent.drivers.jura_simulated import (
    INKASSO_S,
    MODELS,
    QUIET_AFTER_DRINK_S,
    Behaviour,
    Fail,
    Poured,
    SimulatedJura,
    wire_groups,
)


class Machine(SimulatedJura):
    """A simulated machine that remembers what it poured."""

    def __init__(self, counters: list[int] | None = None, **behaviour: object) -> None:
        self.poured: list[Poured] = []
        super().__init__(Behaviour(**behaviour), counters or [0] * 16, self.poured.append)

    def brew(self, now: float) -> str | None:
        """Press the espresso key and let the drink come out."""
        reply = self.hear("FA:04", now)
        self.advance(now + self.behaviour.brew_s)
        return reply


@pytest.mark.parametrize("model", MODELS)
def test_each_model_says_its_type_and_is_ready(model: str) -> None:
    machine = Machine(model=model)
    profile, machine_type = MODELS[model]
    assert machine.hear("TY:", 0.0) == f"ty:{machine_type}"
    inputs = bytes.fromhex((machine.hear("IC:", 0.0) or "").removeprefix("ic:"))
    assert profile.fits(machine_type) and profile.reads(inputs)
    assert not profile.is_busy(inputs) and profile.fault(inputs) is None


def test_a_drink_is_busy_then_poured_then_counted() -> None:
    machine = Machine(counters=[0xFFFF] + [0] * 15, brew_s=3.0)
    assert machine.hear("FA:04", 0.0) == "ok:"
    assert machine.hear("IC:", 2.9) == "ic:1000" and machine.poured == []
    assert machine.hear("IC:", 3.0) == "ic:1400"
    assert machine.poured == [Poured("04", 0, 0xFFFF, 0)]
    assert machine.counters[0] == 0 and machine.counters[14] == 1


@pytest.mark.parametrize("command", ["XX:", "FA:01", "FA:zz", "TY", "FN:01", "@T1", "?M3", ""])
def test_what_it_does_not_know_is_answered_by_silence(command: str) -> None:
    assert Machine().hear(command, 0.0) is None


def test_a_busy_machine_takes_no_second_key() -> None:
    machine = Machine()
    assert machine.hear("FA:04", 0.0) == "ok:"
    assert machine.hear("FA:04", 1.0) is None


@pytest.mark.parametrize("command", ["AN:0A", "WE:0000"])
def test_a_forbidden_command_is_remembered(command: str) -> None:
    machine = Machine()
    assert machine.hear(command, 0.0) is None
    assert machine.forbidden == [command]


FAULTS = [
    (Fail.NONE, "ok:", 1, 1),
    (Fail.NO_WATER, "ok:", 0, 0),
    (Fail.NO_BEANS, "ok:", 0, 0),
    (Fail.LOCKED, None, 0, 0),
    (Fail.SILENT, None, 0, 0),
    (Fail.NO_COUNT, "ok:", 1, 0),
    (Fail.LATE, "ok:", 1, 0),
    (Fail.DOUBLE, "ok:", 1, 2),
    (Fail.UNPLUGGED, None, 1, 1),
    (Fail.UNPLUGGED_BEFORE, None, 0, 0),
    (Fail.POWER_CUT, "ok:", 0, 0),
    (Fail.NOISE, "ok:", 1, 1),
]


@pytest.mark.parametrize(("fail", "reply", "poured", "counted"), FAULTS)
def test_each_fault_does_what_it_says(fail: Fail, reply: str | None, poured: int, counted: int) -> None:
    machine = Machine(fail=fail)
    assert machine.brew(0.0) == reply
    assert (len(machine.poured), machine.counters[0]) == (poured, counted)
    assert machine.unplugged == (fail in (Fail.UNPLUGGED, Fail.UNPLUGGED_BEFORE))


def test_every_fault_is_tested() -> None:
    assert {fail for fail, *_ in FAULTS} == set(Fail)


def test_good_drinks_come_first_and_their_count_can_be_read() -> None:
    machine = Machine(fail=Fail.SILENT, fail_after=1)
    assert machine.brew(0.0) == "ok:"
    assert machine.hear("RT:0000", 4.0) is not None
    assert machine.hear("TY:", 3.0 + QUIET_AFTER_DRINK_S) is None


def test_a_fault_heals_some_time_after_it_showed() -> None:
    machine = Machine(fail=Fail.NO_WATER, recover_s=10.0)
    machine.brew(100.0)
    assert machine.hear("IC:", 109.0) == "ic:1420"
    assert machine.hear("IC:", 110.0) == "ic:1400"
    assert machine.brew(111.0) == "ok:" and machine.counters[0] == 1


def test_a_fault_may_come_back_with_the_next_drink() -> None:
    machine = Machine(fail=Fail.NO_WATER, recover_s=10.0, again=True)
    machine.brew(100.0)
    assert machine.hear("IC:", 110.0) == "ic:1400"
    machine.brew(111.0)
    assert machine.hear("IC:", 112.0) == "ic:1420"


def test_a_cable_comes_back() -> None:
    machine = Machine(fail=Fail.UNPLUGGED, back_s=5.0)
    machine.brew(0.0)
    assert machine.unplugged
    machine.advance(5.0)
    assert not machine.unplugged


def test_a_machine_without_power_is_silent_until_it_is_back() -> None:
    machine = Machine(fail=Fail.POWER_CUT, recover_s=10.0)
    machine.brew(0.0)
    assert machine.hear("TY:", 9.0) is None
    assert machine.hear("IC:", 10.0) == "ic:1400" and machine.counters[0] == 0


def test_a_late_count_comes_late() -> None:
    machine = Machine(fail=Fail.LATE, brew_s=3.0, late_s=7.0)
    machine.brew(0.0)
    machine.advance(9.9)
    assert machine.counters[0] == 0
    machine.advance(10.0)
    assert machine.counters[0] == 1


def test_in_payment_mode_a_key_asks_for_money_and_brews_when_answered_in_time() -> None:
    machine = Machine(inkasso=True)
    assert machine.hear("?M3", 0.0) == "?ok"
    assert machine.hear("FA:04", 1.0) == "?PAE" and not machine.busy()
    machine.hear("?ok", 1.0 + INKASSO_S)
    machine.hear("?ok", 1.0 + INKASSO_S)
    assert machine.busy()
    machine.advance(60.0)
    assert len(machine.poured) == 1


def test_in_payment_mode_silence_or_a_late_answer_brews_nothing() -> None:
    machine = Machine(inkasso=True)
    machine.hear("?M3", 0.0)
    machine.hear("FA:04", 1.0)
    machine.hear("?ok", 1.1 + INKASSO_S)
    assert not machine.busy()
    assert machine.hear("?M1", 10.0) == "?ok"
    assert machine.brew(11.0) == "ok:"


def test_a_noisy_line_is_full_of_junk_and_still_readable() -> None:
    behaviour = Behaviour(fail=Fail.NOISE)
    wire = b"".join(wire_groups("ty:EF533M V01.18", behaviour, random.Random(7)))
    assert not all(looks_like_filler(byte) for byte in wire)
    assert Line("ty:EF533M V01.18") in Decoder().feed(wire)

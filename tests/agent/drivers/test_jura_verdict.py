"""What readings prove. No machine, no time: readings are given with their times."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from agent.drivers.jura_profiles import E6, E8, Profile
from agent.drivers.jura_verdict import Before, Key, Limits, Watch
from agent.machine import MachineError, Outcome
from agent.wire import Actuated, Code, MakeState

LIMITS = Limits(settle_s=5.0, reconcile_s=30.0, brew_limit_s=120.0)
IDLE, BUSY, DRY = b"\x14\x00", b"\x10\x00", b"\x14\x20"
COUNTERS = (17, *range(1, 16))
LOST = MachineError(Code.SERIAL_NO_ANSWER, "no answer")

Reading = tuple[int, bytes] | None
"""How far our counter has grown, and the inputs; None: the machine could not be read."""


def counters(grown: int, start: int = 17, **others: int) -> tuple[int, ...]:
    words = [(start + grown) % 0x10000, *COUNTERS[1:]]
    for name, step in others.items():
        words[int(name.removeprefix("word"))] += step
    return tuple(words)


def watch(key: Key = Key.ACCEPTED, profile: Profile = E8, start: int = 17) -> Watch:
    before = Before("EF533M V01.18", "04", 0, start, counters(0, start), "1400")
    return Watch(profile, before, key, 0.0, LIMITS)


def run(watched: Watch, readings: Iterable[Reading], start: int = 17) -> tuple[Outcome | None, float]:
    """Feed one reading a second, the last for ever, and return the first verdict and its time."""
    second = 0.0
    last: Reading = None
    for reading in [*readings, *[...] * 200]:
        second += 1.0
        last = last if reading is ... else reading
        if last is None:
            watched.missed(LOST)
        else:
            watched.saw(counters(last[0], start), last[1], second)
        if outcome := watched.verdict(second):
            return outcome, second
    return None, second


Verdict = tuple[MakeState, Code | None, Actuated]
UNPROVED: Verdict = (MakeState.UNKNOWN, Code.TIMEOUT_NO_RESULT, Actuated.UNKNOWN)
NOT_TAKEN: Verdict = (MakeState.FAILED, Code.MACHINE_ERROR, Actuated.NO)


def verdict(key: Key, readings: Iterable[Reading], profile: Profile = E8) -> Verdict:
    outcome, _ = run(watch(key, profile), readings)
    assert outcome is not None
    assert outcome.said
    return outcome.state, outcome.code, outcome.actuated


def test_a_counter_grown_by_one_in_two_readings_is_a_drink() -> None:
    outcome, second = run(watch(), [(0, BUSY)] * 20 + [(1, IDLE)])
    assert outcome == Outcome(
        MakeState.DONE, None, Actuated.YES, "counter_delta", "counter 0 (espresso) grew by one, from 17"
    )
    assert second == 22.0


def test_a_drink_that_is_counted_at_its_start_is_done_when_the_machine_is() -> None:
    outcome, second = run(watch(), [(1, BUSY)] * 30 + [(1, IDLE)])
    assert outcome is not None and outcome.state is MakeState.DONE
    assert second == 31.0


def test_a_counter_that_grows_in_the_last_moment_is_read_once_more() -> None:
    outcome, second = run(watch(), [(0, BUSY)] * 119 + [(1, IDLE)])
    assert outcome is not None and outcome.state is MakeState.DONE
    assert second == 121.0


def test_a_counter_that_wraps_has_grown_by_one() -> None:
    outcome, _ = run(watch(start=0xFFFF), [(1, IDLE)], start=0xFFFF)
    assert outcome is not None and outcome.state is MakeState.DONE


def test_the_proof_outlives_the_line() -> None:
    assert verdict(Key.ACCEPTED, [(1, BUSY), (1, BUSY), None])[0] is MakeState.DONE


def test_a_counter_grown_by_two_says_nothing_of_our_drink() -> None:
    assert verdict(Key.ACCEPTED, [(2, IDLE)]) == UNPROVED
    assert verdict(Key.ACCEPTED, [(1, BUSY), (1, BUSY), (2, IDLE)]) == UNPROVED


def test_a_counter_that_went_back_is_another_machine() -> None:
    outcome, _ = run(watch(), [(-3, IDLE)])
    assert outcome is not None and outcome.state is MakeState.UNKNOWN
    assert "went back by 3" in outcome.said


def test_a_refused_key_is_proved_after_the_settle_time() -> None:
    outcome, second = run(watch(Key.SILENT), [(0, IDLE)])
    assert outcome is not None
    assert (outcome.state, outcome.code, outcome.actuated) == NOT_TAKEN
    assert second == 6.0


def test_an_empty_tank_of_an_idle_machine_proves_that_nothing_was_made() -> None:
    assert verdict(Key.ACCEPTED, [(0, DRY)]) == (MakeState.FAILED, Code.NO_WATER, Actuated.NO)


def test_a_machine_that_stops_dry_while_brewing_has_poured_a_part() -> None:
    readings = [(0, BUSY)] * 5 + [(0, DRY)]
    assert verdict(Key.ACCEPTED, readings) == (MakeState.FAILED, Code.NO_WATER, Actuated.PARTIAL)


def test_a_taken_key_without_brewing_fails_only_at_the_time_limit() -> None:
    outcome, second = run(watch(), [(0, IDLE)])
    assert outcome is not None
    assert (outcome.state, outcome.code, outcome.actuated) == NOT_TAKEN
    assert second == LIMITS.brew_limit_s


def test_brewing_without_a_count_stays_unknown() -> None:
    assert verdict(Key.ACCEPTED, [(0, BUSY)] * 20 + [(0, IDLE)]) == UNPROVED
    assert verdict(Key.SILENT, [(0, BUSY)] * 20 + [(0, IDLE)]) == UNPROVED
    assert verdict(Key.ACCEPTED, [(0, BUSY)]) == UNPROVED


def test_without_a_busy_bit_a_taken_key_without_a_count_stays_unknown() -> None:
    assert verdict(Key.ACCEPTED, [(0, IDLE)], E6)[0] is MakeState.UNKNOWN
    assert verdict(Key.UNCLEAR, [(0, IDLE)], E6)[0] is MakeState.UNKNOWN
    assert verdict(Key.SILENT, [(0, IDLE)], E6) == NOT_TAKEN


def test_a_machine_that_was_not_watched_all_the_time_proves_no_failure() -> None:
    readings = [(0, IDLE), *[None] * 15, (0, IDLE)]
    assert verdict(Key.ACCEPTED, readings)[0] is MakeState.UNKNOWN
    assert verdict(Key.ACCEPTED, [None])[:2] == (MakeState.UNKNOWN, Code.SERIAL_NO_ANSWER)


def test_another_counter_that_moves_forbids_to_say_that_nothing_was_made() -> None:
    watched = watch(Key.SILENT)
    for second in range(1, 121):
        watched.saw(counters(0, word2=1), IDLE, float(second))
    outcome = watched.verdict(120.0)
    assert outcome is not None and outcome.state is MakeState.UNKNOWN
    assert "coffee moved" in outcome.said


def test_another_drink_counted_beside_ours_is_noted() -> None:
    watched = watch()
    watched.saw(counters(1, word2=1, word14=2), IDLE, 1.0)
    watched.saw(counters(1, word2=1, word14=2), IDLE, 2.0)
    outcome = watched.verdict(2.0)
    assert outcome is not None and outcome.state is MakeState.DONE
    assert "coffee moved too" in outcome.said and "14" not in outcome.said


def test_after_a_restart_idleness_must_last_longer() -> None:
    outcome, second = run(watch(Key.UNTOLD), [(0, IDLE)])
    assert outcome is not None
    assert (outcome.state, outcome.code, outcome.actuated) == (MakeState.FAILED, Code.POWER_LOSS, Actuated.NO)
    assert second == 31.0


def test_after_a_restart_a_brewing_machine_is_watched_to_its_end() -> None:
    unknown = MakeState.UNKNOWN, Code.POWER_LOSS, Actuated.UNKNOWN
    assert verdict(Key.UNTOLD, [(0, BUSY)] * 10 + [(1, IDLE)])[0] is MakeState.DONE
    assert verdict(Key.UNTOLD, [(0, BUSY)] * 10 + [(0, IDLE)]) == unknown
    assert verdict(Key.UNTOLD, [(0, IDLE)], E6) == unknown


readings = st.lists(
    st.one_of(st.none(), st.tuples(st.integers(0, 3), st.sampled_from([IDLE, BUSY, DRY]))), max_size=40
)


@given(st.sampled_from(list(Key)), st.sampled_from([E8, E6]), readings)
def test_every_watch_ends_and_claims_no_more_than_it_saw(
    key: Key, profile: Profile, seen: list[Reading]
) -> None:
    outcome, second = run(watch(key, profile), seen)
    assert outcome is not None and second <= LIMITS.brew_limit_s
    grown = {reading[0] for reading in seen if reading}
    if outcome.state is MakeState.DONE:
        assert 1 in grown and outcome.actuated is Actuated.YES
    if outcome.state is MakeState.FAILED:
        assert 0 in grown and outcome.code is not None
    if outcome.state is MakeState.FAILED and outcome.actuated is Actuated.NO and key is not Key.SILENT:
        assert profile.tells_busy()

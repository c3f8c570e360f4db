"""The tables of models: each is complete, and means what its source says."""

import pytest

from agent.drivers.jura_profiles import E6, E8, J6, PROFILES, Profile, profile_for_type
from agent.wire import Code

profiles = pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)


@profiles
def test_every_key_has_a_counter_with_a_name(profile: Profile) -> None:
    assert profile.keys
    for key, word in profile.keys.items():
        assert len(key) == 2 and int(key, 16) >= 0 and key == key.upper()
        assert 0 <= word < 16 and profile.words[word]


@profiles
def test_every_profile_names_its_source_and_fits_its_own_types(profile: Profile) -> None:
    assert profile.source
    assert all(profile.fits(f"{start} V01.01") for start in profile.types)


def test_a_published_type_finds_its_profile() -> None:
    assert profile_for_type("EF532M V02.03") is E6
    assert profile_for_type("EF533M V01.18") is E8
    assert profile_for_type("PIM V01.01") is J6


def test_an_unknown_type_gets_no_guess() -> None:
    assert profile_for_type("EF1012M V01.02") is None
    assert PROFILES["other"].guessed
    assert PROFILES["other"].fits("EF1012M V01.02")


def test_the_inputs_of_an_e8() -> None:
    ready = b"\x14\x00"
    assert not E8.is_busy(ready) and E8.fault(ready) is None
    assert E8.is_busy(b"\x10\x00") and E8.is_busy(b"\x14\x40")
    assert E8.fault(b"\x14\x20") is Code.NO_WATER
    assert E8.fault(b"\x04\x00") is Code.WASTE_FULL


def test_the_tray_of_a_j6_has_the_other_polarity() -> None:
    assert J6.fault(b"\x10") is Code.WASTE_FULL
    assert J6.fault(b"\x00") is None


def test_a_reply_too_short_for_the_model_is_not_readable() -> None:
    assert E8.reads(b"\x14\x00") and not E8.reads(b"\x14")
    assert J6.reads(b"\x00")


def test_only_the_e8_tells_that_it_is_busy() -> None:
    assert [profile.name for profile in PROFILES.values() if profile.tells_busy()] == ["E8"]

"""Times as people and programs read them."""

import pytest

from server.moments import age, instant, milliseconds, moment

AT = 1_795_435_445_678


def test_a_moment_names_its_zone():
    assert moment(AT) == "23.11.2026 12:04 UTC"


def test_an_instant_comes_back_whole():
    assert instant(AT) == "2026-11-23T12:04:05.678+00:00"
    assert milliseconds(instant(AT)) == AT


@pytest.mark.parametrize(
    "iso", ["2026-11-23T12:04:05.678", "2026-11-23T12:04:05.678Z", "2026-11-23T15:04:05.678+03:00"]
)
def test_a_time_is_read_with_and_without_its_zone(iso: str):
    assert milliseconds(iso) == AT


@pytest.mark.parametrize("words", ["", "yesterday", "12:04", "2026-13-01"])
def test_what_is_no_time_is_refused(words: str):
    with pytest.raises(ValueError):  # noqa: PT011  # any text of it will do
        milliseconds(words)


@pytest.mark.parametrize(
    ("seconds", "ru", "en"),
    [
        (-5, "меньше минуты", "less than a minute"),
        (59, "меньше минуты", "less than a minute"),
        (60, "1 минута", "1 minute"),
        (4 * 60, "4 минуты", "4 minutes"),
        (11 * 60, "11 минут", "11 minutes"),
        (21 * 60, "21 минута", "21 minutes"),
        (3600, "1 час", "1 hour"),
        (2 * 3600, "2 часа", "2 hours"),
        (12 * 3600, "12 часов", "12 hours"),
        (86_400, "1 день", "1 day"),
        (22 * 86_400, "22 дня", "22 days"),
        (111 * 86_400, "111 дней", "111 days"),
    ],
)
def test_an_age_agrees_with_its_number(seconds: int, ru: str, en: str):
    now = AT + seconds * 1000
    assert age(AT, now).replace("\N{NO-BREAK SPACE}", " ") == ru
    assert age(AT, now, "en").replace("\N{NO-BREAK SPACE}", " ") == en

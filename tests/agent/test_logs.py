"""The agent's log: what repeats itself is left out, what is about a drink never."""

import pytest
import structlog

from agent.logs import AT_FIRST, WINDOW_S, Repeats

DAY_S = 24 * 3600


class Log:
    """Lines that pass `Repeats`, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[structlog.typing.EventDict] = []
        self._repeats = Repeats(lambda: self.now)

    def say(self, event: str, method: str = "warning", **about: object) -> None:
        try:
            self.lines.append(self._repeats(None, method, {"event": event, **about}))
        except structlog.DropEvent:
            return


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_line_that_repeats_itself_is_left_out_after_a_few(log: Log):
    for failures in range(100):
        log.say("no session with the server", failures=failures)
    assert [line["failures"] for line in log.lines] == list(range(AT_FIRST))


def test_other_lines_are_not_left_out_with_it(log: Log):
    for _ in range(100):
        log.say("no session with the server")
    log.say("serial port lost")
    assert log.lines[-1] == {"event": "serial port lost"}


def test_weeks_without_a_server_are_one_line_an_hour_that_counts(log: Log):
    days = 30
    for _ in range(days * DAY_S // 15):
        log.say("no session with the server")
        log.now += 15
    assert len(log.lines) == AT_FIRST + days * 24 - 1
    assert log.lines[-1]["left_out"] == WINDOW_S / 15 - 1


def test_after_a_quiet_hour_the_next_lines_are_let_through_again(log: Log):
    for _ in range(3):
        log.say("no session with the server")
    log.now += WINDOW_S
    for _ in range(10):
        log.say("no session with the server")
    assert len(log.lines) == 3 + AT_FIRST
    assert "left_out" not in log.lines[-1]


@pytest.mark.parametrize("about", ["command", "drink"])
def test_every_line_about_a_drink_is_wanted(log: Log, about: str):
    for number in range(100):
        log.say("make ended", "info", **{about: number})
    assert len(log.lines) == 100


def test_somebody_who_debugs_sees_every_line(log: Log):
    for _ in range(100):
        log.say("machine said", "debug")
    assert len(log.lines) == 100

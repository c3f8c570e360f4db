"""Machines and failures as pages show them, without a server."""

from dataclasses import replace

import pytest

from server.money import price_text
from server.pages.machine_view import failure_line, in_trouble, machine, machines, outcome
from server.store.desk import Failure, Machine
from server.store.rows import Agent, Device

NOW = 1_795_435_200_000
THRESHOLD_MS = 30_000

DEVICE = Device("dev-1", "m1", "Кофе у дома", None, None, None, "ул. Ленина, 1", "Sandbox", *[None] * 11)
AGENT = Agent("dev-1", 1, "boot", "journal", 0, NOW, NOW, "ready", "Jura Z10", None, "", NOW, "server-1")
FAILURE = Failure(
    command_id="make-1",
    order_id="order-1",
    attempt_no=1,
    device_uuid="dev-1",
    size="small",
    state="failed",
    code="no_water",
    actuated="no",
    evidence="status",
    said="FA:01",
    created_at=NOW,
    at=NOW,
    from_status="make_pending",
    to_status="make_failed",
    drink_no="espresso",
    drink_name="Эспрессо",
    price_minor=9000,
    currency="RUB",
    status="make_failed",
    refund_status="pending",
    newest_attempt=1,
)


def shown(agent: Agent | None, open_cases: int = 0) -> dict[str, object]:
    """Return the line of a machine with this agent."""
    return machine(Machine(DEVICE, agent, None, open_cases), NOW, THRESHOLD_MS, "ru")


def test_a_machine_that_works_is_no_trouble():
    line = shown(AGENT)
    assert (line["online"], line["machine_state"], line["stops_selling"]) == (True, "ready", False)
    assert not in_trouble(line)


@pytest.mark.parametrize(
    ("state", "code", "stops"),
    [("error", "no_water", True), ("offline", None, True), ("error", None, False), ("busy", None, False)],
)
def test_what_the_machine_says_decides_whether_it_sells(state: str, code: str | None, stops: bool):
    line = shown(replace(AGENT, machine_state=state, machine_code=code))
    assert line["stops_selling"] is stops
    assert in_trouble(line) is (state != "busy")


def test_an_open_case_is_trouble():
    assert in_trouble(shown(AGENT, open_cases=1))


def test_without_a_connection_the_state_is_not_known_and_the_last_one_told():
    gone = replace(
        AGENT, connected_at=None, machine_state="error", machine_code="no_water", machine_said="FA"
    )
    line = shown(gone)
    assert (line["online"], line["machine_state"], line["machine_said"]) == (False, "unknown", None)
    assert line["state_text"] == "неизвестно; последнее известное: Ошибка, no_water, FA, 23.11.2026 12:00 UTC"


def test_a_short_break_does_not_stop_the_sale_but_is_trouble():
    line = shown(replace(AGENT, connected_at=None, last_seen_at=NOW - THRESHOLD_MS))
    assert not line["stops_selling"] and in_trouble(line)


def test_a_machine_without_an_agent_was_never_connected():
    line = shown(None)
    assert (line["since_text"], line["state_text"]) == ("ещё ни разу не подключался", "неизвестно")


def test_trouble_comes_first_then_the_place():
    fleet = [
        Machine(replace(DEVICE, device_uuid=name, location=name), agent, None, 0)
        for name, agent in (("а", AGENT), ("Б", None), ("в", None), ("Г", AGENT))
    ]
    order = [line["device_uuid"] for line in machines(fleet, "", NOW, THRESHOLD_MS, "ru")]
    assert order == ["Б", "в", "а", "Г"]


@pytest.mark.parametrize(("q", "found"), [("ЛЕНИНА", 1), (" dev-1 ", 1), ("у дома", 1), ("Мира", 0)])
def test_a_machine_is_found_by_what_is_known_of_it(q: str, found: int):
    assert len(machines([Machine(DEVICE, AGENT, None, 0)], q, NOW, THRESHOLD_MS, "ru")) == found


def test_a_failure_says_what_to_do():
    line = failure_line(FAILURE, "ru")
    assert line["transition"] == "make_pending → make_failed"
    assert (line["size"], line["outcome"]) == ("маленький", "напиток не выдан")
    assert line["text"] and line["action"] != failure_line(FAILURE, "en")["action"]


def test_a_code_of_a_newer_agent_is_shown_as_it_is():
    assert failure_line(replace(FAILURE, code="grinder_on_fire"), "ru")["code"] == "grinder_on_fire"


@pytest.mark.parametrize("status", [None, "make_pending"])
def test_a_failure_that_moved_nothing_has_no_transition(status: str | None):
    still = replace(FAILURE, from_status=status, to_status=status)
    assert failure_line(still, "ru")["transition"] is None


@pytest.mark.parametrize(
    ("facts", "came_of_it"),
    [
        ({}, "not_made"),
        ({"actuated": "partial"}, "partial"),
        ({"actuated": "yes"}, "yes"),
        ({"state": "unknown"}, "unknown"),
        ({"state": "overdue", "status": "make_pending"}, "unknown"),
        ({"state": "unknown", "status": "paid", "newest_attempt": 2}, "again"),
        ({"status": "successful"}, "made"),
        ({"state": "rejected"}, "not_made"),
    ],
)
def test_what_became_of_the_drink(facts: dict[str, object], came_of_it: str):
    assert outcome(replace(FAILURE, **facts)) == came_of_it  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("minor", "words"), [(9000, "90 ₽"), (9050, "90,50 ₽"), (123_456_700, "1 234 567 ₽"), (5, "0,05 ₽")]
)
def test_money_is_written_as_people_write_it(minor: int, words: str):
    assert price_text(minor).replace("\N{NO-BREAK SPACE}", " ") == words

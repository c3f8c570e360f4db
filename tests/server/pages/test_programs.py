"""The machines and failures for programs."""

from typing import Any

import pytest

from agent.wire import Code
from tests.server.pages.conftest import Desk

PATHS = ["/v1/devices", "/v1/devices/dev-1", "/v1/devices/dev-1/failures"]


async def ask(desk: Desk, path: str, status: int = 200) -> Any:
    """Return the JSON that anna's program gets."""
    token = await desk.users.new_program_token("anna")
    response = await desk.client.get(path, headers={"Authorization": f"Bearer {token}"})
    assert response.status == status
    assert response.headers["Cache-Control"] == "no-store"
    return await response.json()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic YTpi"}])
async def test_a_program_without_a_token_is_told_how(desk: Desk, path: str, header: dict[str, str]):
    response = await desk.client.get(path, headers=header)
    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert "error" in await response.json()


async def test_a_browsers_session_is_no_token(desk: Desk):
    token = (await desk.sign_in()).cookies["demitasse_session"].value
    assert (await desk.client.get("/v1/devices")).status == 401
    response = await desk.client.get("/v1/devices", headers={"Authorization": f"Bearer {token}"})
    assert response.status == 401


async def test_a_programs_token_is_no_session(desk: Desk):
    token = await desk.users.new_program_token("anna")
    cookie = {"Cookie": f"demitasse_session={token}"}
    response = await desk.client.get("/tech/", headers=cookie, allow_redirects=False)
    assert response.status == 303


async def test_a_machine_that_never_came_is_listed(desk: Desk):
    answer = await ask(desk, "/v1/devices")
    assert answer["devices"] == [
        {
            "device_uuid": "dev-1",
            "location": "ул. Ленина, 1",
            "merchant": {"id": "m1", "name": "Кофе у дома"},
            "online": False,
            "connected_at": None,
            "last_seen_at": None,
            "selling": False,
            "machine": {"state": None, "model": None, "code": None, "said": None, "reported_at": None},
            "last_failure": None,
            "open_cases": 0,
        }
    ]


async def test_a_machine_says_how_it_stands(desk: Desk):
    await desk.fleet.connect("dev-1", "error", Code.NO_WATER, "FA:01")
    answer = await ask(desk, "/v1/devices/dev-1")
    at = "2026-11-23T12:00:00.000+00:00"
    told = {"state": "error", "model": "Jura Z10", "code": "no_water", "said": "FA:01", "reported_at": at}
    assert (answer["online"], answer["selling"], answer["connected_at"]) == (True, False, at)
    assert answer["machine"] == told


async def test_a_machine_that_is_online_is_seen_now_and_later_when_it_went(desk: Desk):
    await desk.fleet.connect("dev-1")
    desk.clock.go(3600)
    answer = await ask(desk, "/v1/devices/dev-1")
    assert (answer["connected_at"], answer["last_seen_at"]) == (
        "2026-11-23T12:00:00.000+00:00",
        "2026-11-23T13:00:00.000+00:00",
    )
    await desk.fleet.part("dev-1")
    desk.clock.go(3600)
    answer = await ask(desk, "/v1/devices/dev-1")
    assert (answer["online"], answer["last_seen_at"]) == (False, "2026-11-23T13:00:00.000+00:00")


async def test_a_failure_says_when_what_and_why(desk: Desk):
    await desk.fleet.connect("dev-1")
    make = await desk.fleet.fail("dev-1", "order-1")
    (failure,) = (await ask(desk, "/v1/devices/dev-1/failures"))["failures"]
    assert failure.pop("refund_status") in ("pending", "failed")
    assert failure.pop("text") and failure.pop("action")
    assert failure == {
        "at": "2026-11-23T12:00:00.000+00:00",
        "commanded_at": "2026-11-23T12:00:00.000+00:00",
        "command_id": make.command_id,
        "attempt_no": 1,
        "order_id": "order-1",
        "drink_no": "espresso",
        "drink_name": "Эспрессо",
        "size": "small",
        "price_minor": 9000,
        "currency": "RUB",
        "code": "no_water",
        "said": "FA:01 fill tank",
        "severity": "warning",
        "outcome": "not_made",
        "order_status": "make_failed",
        "transition": {"from": "paid", "to": "make_failed"},
    }


async def test_the_last_failure_stands_with_the_machine(desk: Desk):
    await desk.fleet.connect("dev-1")
    await desk.fleet.fail("dev-1", "order-1")
    desk.clock.go(1)
    await desk.fleet.lose_sight("dev-1", "order-2")
    answer = await ask(desk, "/v1/devices/dev-1")
    assert (answer["last_failure"]["order_id"], answer["open_cases"]) == ("order-2", 1)
    assert (await ask(desk, "/v1/devices"))["devices"] == [answer]


async def test_all_failures_are_read_page_by_page(desk: Desk):
    await desk.fleet.connect("dev-1")
    for number in range(7):  # all at the same moment
        await desk.fleet.fail("dev-1", f"order-{number}")
    got, path = [], "/v1/devices/dev-1/failures?limit=3"
    before: str | None = ""
    while before is not None:
        answer = await ask(desk, f"{path}&before={before}")
        got += [failure["order_id"] for failure in answer["failures"]]
        before = answer["next_before"]
    assert got == [f"order-{number}" for number in range(6, -1, -1)]


@pytest.mark.parametrize(
    "before", ["2026-11-23T12:00:30Z", "2026-11-23T15:00:30+03:00", "2026-11-23T12:00:30"]
)
async def test_failures_are_asked_for_by_time(desk: Desk, before: str):
    await desk.fleet.connect("dev-1")
    await desk.fleet.fail("dev-1", "order-1")
    desk.clock.go(60)
    await desk.fleet.fail("dev-1", "order-2")
    answer = await ask(desk, f"/v1/devices/dev-1/failures?before={before}")
    assert [failure["order_id"] for failure in answer["failures"]] == ["order-1"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=many", "limit=", "before=yesterday", "before=9999999999999999999.x"],
)
async def test_a_wrong_question_is_refused(desk: Desk, query: str):
    answer = await ask(desk, f"/v1/devices/dev-1/failures?{query}", status=400)
    assert set(answer) == {"error"}


@pytest.mark.parametrize("path", ["/v1/devices/nothing", "/v1/devices/nothing/failures"])
async def test_an_unknown_machine_is_not_found(desk: Desk, path: str):
    assert "error" in await ask(desk, path, status=404)

"""What those who run the server ask."""

from server.errors import DatabaseError
from tests.fakes.shop import Shop


async def test_the_server_is_alive(shop: Shop):
    answer = await shop.get("/health")
    assert (answer.status, answer.json) == (
        200,
        {"status": "healthy", "timestamp": "2026-11-23T12:00:00.000+00:00"},
    )


async def test_the_server_is_ready_while_its_database_answers(shop: Shop):
    answer = await shop.get("/ready")
    assert (answer.status, answer.json) == (200, {"status": "ready"})


async def test_without_its_database_it_is_alive_but_not_ready(shop: Shop):
    await shop.db.close()
    answer = await shop.get("/ready")
    assert (answer.status, answer.json["status"]) == (503, "not ready")
    assert (await shop.get("/health")).status == 200


async def test_without_its_database_every_page_says_so(shop: Shop):
    await shop.db.close()
    for path in ("/m/dev-1", "/v1/order-status/order-1", "/metrics"):
        answer = await shop.get(path)
        assert answer.status == 503
        assert "Сервис временно недоступен" in (answer.json["error"] if answer.json else answer.text)


async def test_without_its_database_a_notification_is_not_acknowledged(shop: Shop):
    await shop.db.close()
    told = {"type": "notification", "event": "payment.succeeded", "object": {"id": "2d7f"}}
    assert (await shop.post("/v1/yook-pay-webhook", json=told)).status == 503


async def test_a_database_that_fails_is_not_shown_to_customers(shop: Shop, monkeypatch):
    def fail(*_: object) -> None:
        raise DatabaseError("disk I/O error in secret.db")

    monkeypatch.setattr("server.store.orders.get", fail)
    answer = await shop.get("/v1/order-status/order-1")
    assert answer.status == 503 and "secret" not in answer.text


async def test_the_counters_can_be_read(shop: Shop):
    await shop.agent()
    await shop.pay()
    answer = await shop.get("/metrics")
    assert answer.status == 200
    assert 'demitasse_order_transitions_total{from_status="pending",to_status="paid"}' in answer.text
    assert "demitasse_agent_sessions 1.0" in answer.text
    assert "demitasse_open_cases 0.0" in answer.text

"""Where a request comes from: proxies that we trust are believed, and nobody else."""

import pytest

from agent import wire
from server.networks import YOOKASSA_NETWORKS, is_within, nearest_stranger, networks
from tests.fakes.shop import Shop, counted

OURS = networks("10.0.0.0/8, 127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "185.71.76.1", "203.0.113.9"),  # no proxy of ours: what it says counts for nothing
        ("10.0.0.1", "185.71.76.1", "185.71.76.1"),
        ("10.0.0.1", "1.1.1.1, 185.71.76.1, 10.0.0.2", "185.71.76.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("10.0.0.1", "garbage", "garbage"),
        ("", "", ""),
    ],
)
def test_the_client_is_the_nearest_stranger(peer: str, forwarded: str, address: str):
    assert nearest_stranger(peer, forwarded, OURS) == address


@pytest.mark.parametrize("address", ["185.71.76.31", "77.75.156.11", "2a02:5180::1", "::ffff:185.71.77.1"])
def test_yookassas_networks_are_known(address: str):
    assert is_within(address, YOOKASSA_NETWORKS)


@pytest.mark.parametrize("address", ["185.71.76.32", "77.75.156.12", "127.0.0.1", "", "garbage"])
def test_others_are_not_theirs(address: str):
    assert not is_within(address, YOOKASSA_NETWORKS)


NOTICE = {"type": "notification", "event": "payment.succeeded", "object": {"id": "22e12f66-000f"}}


@pytest.mark.parametrize(("rule", "status"), [("off", 200), ("log", 200), ("enforce", 403)])
async def test_a_notification_from_another_network(shop: Shop, rule: str, status: int):
    await shop.restart(yookassa_networks=rule)
    before = counted("notifications", outcome="foreign network")
    assert (await shop.post("/v1/yook-pay-webhook", json=NOTICE)).status == status
    assert counted("notifications", outcome="foreign network") - before == (rule != "off")


async def test_behind_a_proxy_that_is_trusted_the_bank_is_heard(shop: Shop):
    await shop.restart(yookassa_networks="enforce", trusted_proxies="127.0.0.0/8")
    headers = {"X-Forwarded-For": "185.71.76.5"}
    assert (await shop.post("/v1/yook-pay-webhook", json=NOTICE, headers=headers)).status == 200
    agent = await shop.agent()
    await shop.at_bank()  # the sandbox's own notifications come from loopback, and the poller needs none
    assert agent.all_heard(wire.Make) == []

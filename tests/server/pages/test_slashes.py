"""Which addresses with a slash at their end lead to a page."""

import pytest
from aiohttp.test_utils import make_mocked_request

from server.pages.slashes import without_slash
from tests.fakes.shop import Shop


@pytest.mark.parametrize(
    ("asked", "page"),
    [
        ("/m/dev-1/", "/m/dev-1"),
        ("/m/%D0%B0%2F/", "/m/%D0%B0%2F"),
        ("/v1/pay/?deviceUuid=%26&size=0", "/v1/pay?deviceUuid=%26&size=0"),
        ("/v1/order-status-page/?order_id=1", "/v1/order-status-page?order_id=1"),
        ("/tech/devices/dev-1/", "/tech/devices/dev-1"),
        ("/tech/cases/", "/tech/cases"),
        ("/tech/login/", "/tech/login"),
    ],
)
def test_a_page_is_meant(asked: str, page: str):
    assert without_slash(make_mocked_request("GET", asked)) == page
    assert without_slash(make_mocked_request("HEAD", asked)) == page
    assert without_slash(make_mocked_request("POST", asked)) is None


@pytest.mark.parametrize(
    "asked",
    [
        "/m/",
        "/m/dev-1",
        "/m/dev-1//",
        "//m/dev-1/",
        "/v1/order-status/order-1/",
        "/v1/devices/",
        "/health/",
        "/elsewhere/",
    ],
)
def test_nothing_else_is(asked: str):
    assert without_slash(make_mocked_request("GET", asked)) is None


async def test_a_slash_leads_on_to_the_page_and_an_address_of_programs_is_strict(shop: Shop):
    assert (await shop.get("/m/dev-1/")).headers["Location"] == "/m/dev-1"
    assert (await shop.get("/m/dev-1/")).status == 308
    assert (await shop.get("/v1/devices/")).status == 404
    assert (await shop.post("/v1/initiate-payment/", json={})).status == 404

"""The headers of every answer."""

import pytest

from tests.fakes.shop import Shop, machine

pytestmark = pytest.mark.one_database  # what is answered here hangs on no database

PATHS = [
    "/m/dev-1",
    "/v1/pay",
    "/v1/order-status/order-1",
    "/v1/order-status-page?order_id=order-1",
    "/health",
    "/tech/login",
    "/nothing",
]


def directives(policy: str) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in policy.split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_its_headers(shop: Shop, path: str):
    await shop.agent()
    await shop.scan()
    headers = (await shop.get(path)).headers
    policy = directives(headers["Content-Security-Policy"])
    assert (policy["default-src"], policy["script-src"], policy["frame-ancestors"]) == (
        "'none'",
        "'self'",
        "'none'",
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


async def test_a_page_may_show_its_machines_logo_and_no_other_picture(shop: Shop):
    await shop.load(machine(logo_url="https://logo.example:8443/cup.png"))
    policy = directives((await shop.get("/m/dev-1")).headers["Content-Security-Policy"])
    assert policy["img-src"] == "'self' data: https://logo.example:8443"


@pytest.mark.parametrize(
    "logo",
    [
        "https://a.example;script-src *",
        "https://a.example script-src",
        "https://a.example,b",
        "https://user@a.example/",
        "https://a.example'unsafe-inline'/x",
        "https://[::1",
    ],
)
async def test_a_logo_cannot_loosen_the_policy(shop: Shop, logo: str):
    await shop.change("UPDATE devices SET logo_url = $1", logo)
    page = await shop.get("/m/dev-1")
    policy = directives(page.headers["Content-Security-Policy"])
    assert page.status == 200
    assert (policy["script-src"], policy["img-src"]) == ("'self'", "'self' data:")


async def test_operators_html_reaches_no_page_unsanitised(shop: Shop):
    await shop.load(machine(client_info="<img src=x onerror=alert(1)>", client_error_info="<script>"))
    for path in ("/m/dev-1", "/v1/pay?deviceUuid=dev-1&drinkNo=9&drinkName=x&size=0&uuid=order-1"):
        page = await shop.get(path)
        assert "onerror" not in page.text and "<script>" not in page.text

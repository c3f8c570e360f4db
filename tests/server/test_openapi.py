"""`server/openapi.yaml` and the running server say the same; whatever is sent, the answer is described."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
import yaml
from aiohttp import hdrs, web
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from server.app import make_app
from server.pages.operating import OPENAPI
from server.payments import tbank_api
from server.sandbox_tbank import PASSWORD, TERMINAL_KEY
from server.settings import Settings
from tests.fakes.shop import Shop
from tests.fakes.site import AGENT_TOKEN, CASE, ORDERS, Site, a_site

CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
METHODS_BESIDE = ["DELETE", "TRACE"]
CONFIG = {"seed": 1, "phases": {"coverage": {"unexpected-methods": METHODS_BESIDE}}}
BOUNDED = settings(
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def described() -> dict[str, Any]:
    """Return the file as it stands."""
    read: dict[str, Any] = yaml.safe_load(OPENAPI.read_text())
    return read


EXAMPLES: dict[str, dict[str, object]] = {
    "/v1/order-qr/{order_id}": {"order_id": "order-sbp"},
    "/v1/order-receipt/{order_id}/{number}": {"order_id": "order-made", "number": 1},
}
"""What has a picture to show: no chance finds it."""


def with_known_ids() -> dict[str, Any]:
    """Return the file with the ids that are in the database beside random ones."""
    read = described()
    case = read["paths"]["/tech/cases/{case_id}"]["parameters"][0]
    device = read["components"]["parameters"]["Device"]
    schemas = read["components"]["schemas"]
    case["schema"] = {"anyOf": [{"const": CASE}, case["schema"]]}
    device["schema"] = {"anyOf": [{"enum": ["dev-1", "dev-2"]}, device["schema"]]}
    for path, known in EXAMPLES.items():
        for parameter in read["paths"][path]["get"]["parameters"]:
            parameter["example"] = known[parameter["name"]]
    schemas["OrderId"] = {"anyOf": [{"enum": ORDERS}, schemas["OrderId"]]}
    _with_ids_of_providers(schemas)
    return read


SIGNED = "signed by the terminal"
"""Stands for the token that T-Bank would send, as an order stands for the provider's id of its payment."""


def _with_ids_of_providers(schemas: dict[str, Any]) -> None:
    yookassa, tbank = (schemas[f"{name}Notification"]["properties"] for name in ("Yookassa", "Tbank"))
    yookassa["event"] = {"enum": ["payment.succeeded", "payment.canceled", "refund.succeeded"]}
    for name in ("id", "payment_id"):
        yookassa["object"]["properties"][name] = {"enum": ["order-pending", "order-made", "nobody's"]}
    tbank["TerminalKey"] = {"enum": [TERMINAL_KEY, "AnotherDEMO"]}
    tbank["PaymentId"] = {"enum": ["order-sbp", "4000009999", 1]}
    tbank["Status"] = {"enum": ["CONFIRMED", "AUTHORIZED", "REFUNDED", "REJECTED", "NEWS"]}
    tbank["OrderId"], tbank["Amount"] = {"enum": ["pay-1"]}, {"enum": [9000, 1]}
    tbank["Token"] = {"enum": [SIGNED, "guessed"]}


def as_its_provider_tells_it(told: Any, site: Site) -> Any:
    """Return a notification with the ids that the provider gave, and T-Bank's token."""
    if not isinstance(told, dict):
        return told
    about = told.get("object")
    if isinstance(about, dict):
        return {**told, "object": {name: _known(value, site) for name, value in about.items()}}
    named = {name: _known(value, site) for name, value in told.items()}
    return {**named, "Token": tbank_api.token(named, PASSWORD)} if told.get("Token") == SIGNED else named


def _known(value: Any, site: Site) -> Any:
    return site.bank_id(value) if isinstance(value, str) and value in ORDERS else value


schema = schemathesis.openapi.from_dict(
    with_known_ids(), config=SchemathesisConfig.from_dict(CONFIG)
).exclude(path="/openapi.yaml")
"""This file itself is asked for once, below: as a YAML answer it is slow to read."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path) as site:
        yield site


def check(case: schemathesis.Case, site: Site, **options: Any) -> None:
    """Send what was made up, and compare the answer with the file."""
    if case.path.endswith("-webhook"):
        case.body = as_its_provider_tells_it(case.body, site)
    with requests.Session() as session:
        answer = case.call(base_url=site.url, session=session, allow_redirects=False, **options)
    assert answer.status_code < 500 or answer.status_code == 503
    case.validate_response(answer, checks=CHECKS)


@schema.parametrize()
@BOUNDED
def test_a_stranger_gets_a_described_answer(case: schemathesis.Case, site: Site):
    check(case, site)


def for_the_known(context: Any) -> bool:
    return "security" in context.operation.definition.raw


@schema.include(for_the_known).parametrize()
@BOUNDED
def test_who_is_signed_in_gets_a_described_answer(case: schemathesis.Case, site: Site):
    anna = site.sign_in()
    token = AGENT_TOKEN if case.path == "/v1/agent" else anna.program_token
    headers = {"Authorization": f"Bearer {token}", "X-CSRF": anna.csrf}
    check(case, site, headers=headers, cookies=anna.cookies)


# --- the paths --------------------------------------------------------------------------------------------


async def test_every_path_is_described_and_no_other(shop: Shop):
    app = await make_app(Settings(database_url=shop.settings.database_url))
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != hdrs.METH_HEAD
        if not isinstance(route.resource, web.StaticResource)
    }
    told = {
        (method.upper(), path)
        for path, methods in described()["paths"].items()
        for method in methods
        if method != "parameters"
    }
    runner = web.AppRunner(app)
    await runner.setup()
    await runner.cleanup()
    assert served == told


async def test_the_description_is_served(shop: Shop):
    answer = await shop.get("/openapi.yaml")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/yaml")
    assert yaml.safe_load(answer.text) == described()


# --- what no generator makes ------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}
POSTED = ("/v1/initiate-payment", "/v1/manual-make", "/v1/yook-pay-webhook", "/v1/tbank-webhook")
BODIES = {
    "huge": (b'"' + b"x" * 70_000 + b'"', {400, 413}),
    "not UTF-8": (b'{"order_id": "\xff\xfe"}', {400}),
    "a NUL": (b'{"order_id": "order-1\\u0000"}', {400}),
    "deep": (b"[" * 20_000 + b"]" * 20_000, {400}),
    "half a surrogate": (b'{"order_id": "\\ud800"}', {400}),
    "not finite": (b'{"order_id": NaN}', {400}),
    "empty": (b"", {400}),
}


@pytest.mark.parametrize("path", POSTED)
async def test_a_body_that_is_wrong_is_refused(shop: Shop, path: str):
    for kind, (body, statuses) in BODIES.items():
        assert (await shop.post(path, data=body, headers=JSON)).status in statuses, kind


@pytest.mark.parametrize("path", POSTED)
async def test_a_body_of_another_type_is_refused(shop: Shop, path: str):
    for content_type in ("text/plain", "multipart/form-data", "application/json2", "x"):
        answer = await shop.post(path, data=b"{}", headers={"Content-Type": content_type})
        assert answer.status == 415, content_type


async def test_an_odd_address_is_refused(shop: Shop):
    for path in ("/" + "x" * 5000, "/m/" + "%00", "/v1/order-status/%ff", "/m/..%2f..%2fetc", "//"):
        assert 400 <= (await shop.get(path)).status < 500, path


async def test_an_odd_method_is_refused(shop: Shop):
    for method in ("DELETE", "PUT", "PATCH"):
        assert (await shop.call(method, "/v1/initiate-payment")).status == 405, method

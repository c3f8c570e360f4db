"""Login, sessions, and requests that other sites send."""

import pytest

from tests.server.pages.conftest import PASSWORD, Desk, a_desk

pytestmark = pytest.mark.one_database  # test_users.py puts the same questions to both databases

HOUR_S = 3600


async def test_the_login_opens_the_machines(desk: Desk):
    response = await desk.sign_in()
    assert (response.status, response.headers["Location"]) == (303, "/tech/")
    assert "ул. Ленина, 1" in await desk.page("/tech/")


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(desk: Desk):
    cookie = (await desk.sign_in()).cookies["demitasse_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/")


async def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(database_url: str):
    async with a_desk(database_url, base_url="https://coffee.example") as desk:
        cookie = (await desk.sign_in()).cookies["__Host-demitasse_session"]
    assert cookie["secure"] and not cookie["domain"]


@pytest.mark.parametrize("path", ["/tech/", "/tech/cases", "/tech/devices/dev-1"])
async def test_nobody_gets_in_without_a_login(desk: Desk, path: str):
    response = await desk.client.get(path, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, f"/tech/login?next={path}")


async def test_after_the_login_the_wanted_page_opens(desk: Desk):
    response = await desk.sign_in(next="/tech/devices/dev-1?before=1.x")
    assert response.headers["Location"] == "/tech/devices/dev-1?before=1.x"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/tech/",
        "//evil.example/tech/",
        "/tech//evil.example",
        "/tech/../m/dev-1",
        "/\\evil.example",
        "/tech/\r\nX: 1",
        "/m/dev-1",
    ],
)
async def test_the_login_leads_nowhere_else(desk: Desk, elsewhere: str):
    response = await desk.sign_in(next=elsewhere)
    assert response.headers["Location"] == "/tech/"


async def test_a_wrong_password_says_so_and_keeps_the_name(desk: Desk):
    response = await desk.sign_in(password="wrong password")
    page = await response.text()
    assert response.status == 401
    assert "Неверное имя или пароль." in page and 'value="anna"' in page and "wrong password" not in page


async def test_the_sixth_try_must_wait(desk: Desk):
    for _ in range(5):
        await desk.sign_in(password="wrong password")
    response = await desk.sign_in()
    assert response.status == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert "Слишком много запросов" in await response.text()


async def test_signing_in_again_ends_the_session_before(desk: Desk):
    before = (await desk.sign_in()).cookies["demitasse_session"].value
    after = (await desk.sign_in()).cookies["demitasse_session"].value
    assert before != after
    assert await desk.users.session(before) is None


async def test_who_is_signed_in_is_not_asked_again(at_desk: Desk):
    response = await at_desk.client.get("/tech/login?next=/tech/cases", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (303, "/tech/cases")


async def test_signing_out_makes_the_cookie_void(at_desk: Desk):
    cookies = at_desk.client.session.cookie_jar.filter_cookies(at_desk.client.make_url("/"))
    token = cookies["demitasse_session"].value
    response = await at_desk.post("/tech/logout")
    assert (response.status, response.headers["Location"]) == (303, "/tech/login")
    assert await at_desk.users.session(token) is None


async def test_a_forgotten_session_ends(at_desk: Desk):
    at_desk.clock.go(12 * HOUR_S)
    response = await at_desk.client.get("/tech/", allow_redirects=False)
    assert response.status == 303


@pytest.mark.parametrize("path", ["/tech/logout", "/tech/devices/dev-1"])
@pytest.mark.parametrize("csrf", [{}, {"csrf": ""}, {"csrf": "guessed"}, {"csrf": "й"}])
async def test_a_form_without_its_secret_changes_nothing(at_desk: Desk, path: str, csrf: dict[str, str]):
    form = {"client_info": "чужое", **csrf}
    response = await at_desk.client.post(path, data=form, allow_redirects=False)
    assert response.status == 403
    assert "чужое" not in await at_desk.page("/tech/devices/dev-1")


@pytest.mark.parametrize(
    "header",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_another_site_is_refused(at_desk: Desk, header: dict[str, str]):
    form = {"csrf": await at_desk.csrf(), "client_info": "чужое"}
    for path in ("/tech/devices/dev-1", "/tech/login"):
        response = await at_desk.client.post(path, data=form, headers=header)
        assert response.status == 403


async def test_our_own_page_may_post(at_desk: Desk):
    origin = str(at_desk.client.make_url("/")).rstrip("/")
    form = {"csrf": await at_desk.csrf(), "client_info": "наше"}
    response = await at_desk.client.post("/tech/devices/dev-1", data=form, headers={"Origin": origin})
    assert response.status == 200 and "наше" in await response.text()


async def test_a_body_that_is_no_form_is_refused(desk: Desk):
    odd = {"Content-Type": "application/x-www-form-urlencoded; charset=klingon"}
    response = await desk.client.post("/tech/login", data=b"name=anna", headers=odd)
    assert response.status == 400


async def test_a_huge_form_is_refused(desk: Desk):
    response = await desk.client.post("/tech/login", data={"name": "anna", "password": "x" * 600_000})
    assert response.status == 413


async def test_pages_are_not_kept_by_caches(at_desk: Desk):
    response = await at_desk.client.get("/tech/")
    assert response.headers["Cache-Control"] == "no-store"


async def test_the_password_is_never_shown(desk: Desk):
    response = await desk.sign_in(name="nobody")
    assert PASSWORD not in await response.text()

"""Somebody allows an app, sees what it may, and disconnects it, on a phone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from requests_oauthlib import OAuth2Session

from accounts.models import User
from tests.browser.test_own_data import PHONE, page_of
from tests.support.api import API, an_app
from tests.support.live_server import LiveServer
from tests.support.pages import follow, width_of
from tests.support.school import an_account

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dana(transactional_db: None) -> User:
    return an_account("dana")


def test_somebody_allows_an_app_and_disconnects_it(
    browser: Browser,
    server: LiveServer,
    dana: User,
    complaints: Callable[[Page], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client, _secret = an_app(native=True)
    application = client.application
    app = OAuth2Session(
        application.client_id,
        redirect_uri=application.redirect_uris,
        scope=["roster:read"],
        pkce="S256",
    )
    page = page_of(browser, server, dana, viewport=PHONE)
    heard = complaints(page)
    came_back: list[str] = []

    def receive(route: Route) -> None:
        came_back.append(route.request.url)
        route.fulfill(body="Back in the app")

    page.route(f"{application.redirect_uris}*", receive)
    page.goto(app.authorization_url(f"{server.url}/oauth/authorize/")[0])
    expect(page.locator("h1")).to_have_text("May “Timetable” act for you?")
    assert width_of(page) <= PHONE["width"]
    page.get_by_role("button", name="Allow").click()
    expect(page.locator("body")).to_have_text("Back in the app")
    app.fetch_token(
        f"{server.url}/oauth/token/", authorization_response=came_back[0], include_client_id=True
    )
    assert app.get(f"{server.url}{API}me/").status_code == 200

    page.goto(f"{server.url}/me/")
    follow(page.get_by_role("link", name="Connected apps"))
    row = page.get_by_role("listitem").filter(has_text="Timetable")
    expect(row).to_contain_text("See students, courses, class lists, rooms and sessions")
    assert width_of(page) <= PHONE["width"]
    follow(row.get_by_role("button", name="Disconnect Timetable"))
    expect(page.get_by_role("status")).to_contain_text("“Timetable” is disconnected.")
    expect(page.locator("main")).to_contain_text("No app is connected.")
    assert app.get(f"{server.url}{API}me/").status_code == 401
    assert heard == []

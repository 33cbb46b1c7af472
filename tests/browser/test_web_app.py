"""The service worker in a real browser: what it shows without a server, and what it keeps."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Error, Page, Response, expect

from accounts.models import User
from recognition.models import FaceRegistration
from roster.models import Course
from tests.support.live_server import LiveServer, running_server
from tests.support.school import a_student

PHONE = {"width": 390, "height": 844}
COMES_BACK_MS = 30_000
WORKER_RULES = """async () => {
  const { active } = await navigator.serviceWorker.ready;
  while (active.state !== "activated" || !navigator.serviceWorker.controller) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}"""
KEPT = """async () => {
  const kept = {};
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      kept[new URL(request.url).pathname] = await (await cache.match(request)).text();
    }
  }
  return kept;
}"""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def erin(math: Course) -> User:
    """A student whose face registration waits for the lecturer."""
    user = User.objects.create_user("erin", "erin@example.edu", first_name="Erin")
    student = a_student("S-9", "Erin Example", math, user=user, email=user.email)
    student.face_registrations.create(status=FaceRegistration.Status.PENDING)
    return user


@pytest.fixture
def phone(browser: Browser) -> BrowserContext:
    return browser.new_context(viewport=PHONE)  # type: ignore[arg-type]


def open_with_worker(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    page.evaluate(WORKER_RULES)
    return page


def log_in(context: BrowserContext, server: LiveServer, user: User) -> None:
    client = Client()
    client.force_login(user)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    assert Session.objects.filter(pk=key).exists()
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": server.url}])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/me/", "Nothing was recorded just now"),
        ("/kiosk/", "Tell the lecturer"),
    ],
)
def test_without_the_server_pages_say_so_and_return_by_themselves(
    phone: BrowserContext, path: str, words: str
) -> None:
    with running_server() as server:
        page = open_with_worker(phone, server.url)
    page.goto(server.url + path)

    expect(page.get_by_text("No connection")).to_be_visible()
    expect(page.locator("main")).to_contain_text(words)
    assert has_its_style(page)
    with running_server(server.port):
        expect(page.get_by_text("No connection")).to_be_hidden(timeout=COMES_BACK_MS)


def test_a_device_without_network_gets_the_offline_page_and_tries_again_on_request(
    phone: BrowserContext, server: LiveServer
) -> None:
    page = open_with_worker(phone, server.url)
    phone.set_offline(True)
    page.reload()
    expect(page.locator("h1")).to_have_text("No connection")
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("h1")).to_have_text("No connection")

    phone.set_offline(False)

    expect(page.locator("h1")).to_have_text("Attendance at a glance", timeout=COMES_BACK_MS)


def test_static_files_that_are_named_by_their_content_are_kept_too(
    phone: BrowserContext, tmp_path: Path
) -> None:
    production = {
        "DEBUG": "False",
        "DATA_DIR": str(tmp_path),
        "ALLOWED_HOSTS": "127.0.0.1",
        "SECURE_SSL_REDIRECT": "False",
    }
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "-v", "0"],
        cwd=settings.BASE_DIR,
        env={**os.environ, **production},
        check=True,
    )
    with running_server(**production) as server:
        page = open_with_worker(phone, server.url)
        kept = page.evaluate(KEPT)
    page.reload()

    expect(page.locator("h1")).to_have_text("No connection")
    assert has_its_style(page)
    assert "/static/rollcall/base.css" not in kept
    assert any(address.startswith("/static/rollcall/base.") for address in kept)


def test_the_worker_answers_for_pages_only_and_never_for_the_desk_or_forms(
    phone: BrowserContext, server: LiveServer
) -> None:
    page = open_with_worker(phone, server.url)
    by_worker: dict[str, bool] = {}

    def note(response: Response) -> None:
        path = response.url.removeprefix(server.url)
        by_worker[f"{response.request.method} {path}"] = response.from_service_worker

    page.on("response", note)
    page.goto(f"{server.url}/accounts/login/")
    page.get_by_label("Username or e-mail").fill("nobody")
    page.get_by_label("Password").fill("nothing")
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.locator(".note-bad, .field-error").first).to_be_visible()
    page.goto(f"{server.url}/admin/")
    page.evaluate("async () => { await fetch('/ws/kiosk/'); await fetch('/me/'); }")

    assert by_worker["GET /accounts/login/"]
    assert not by_worker["POST /accounts/login/"]
    assert not by_worker["GET /admin/"]
    assert not by_worker["GET /ws/kiosk/"]
    assert not by_worker["GET /me/"]


def test_without_the_server_the_desk_is_left_to_the_browser(phone: BrowserContext) -> None:
    with running_server() as server:
        page = open_with_worker(phone, server.url)
    with pytest.raises(Error, match="ERR_CONNECTION_REFUSED"):
        page.goto(f"{server.url}/admin/")


def test_what_a_student_has_seen_is_in_no_cache(
    phone: BrowserContext,
    server: LiveServer,
    erin: User,
    complaints: Callable[[Page], list[str]],
) -> None:
    log_in(phone, server, erin)
    page = open_with_worker(phone, server.url)
    heard = complaints(page)
    for path in ("/", "/me/", "/face/", "/app/", "/kiosk/"):
        page.goto(server.url + path)
        if path == "/me/":
            expect(page.locator("main")).to_contain_text("S-9")
    kept: dict[str, Any] = page.evaluate(KEPT)

    assert set(kept) == {
        "/offline/",
        "/offline/kiosk/",
        "/static/checkin/kiosk/kiosk.css",
        "/static/rollcall/base.css",
        "/static/rollcall/favicon.svg",
        "/static/rollcall/icons.svg",
        "/static/rollcall/tokens.css",
        "/static/rollcall/web_app/offline.js",
    }
    assert not any(word in text for text in kept.values() for word in ("erin", "Erin", "S-9"))
    assert heard == []


def test_a_new_version_of_the_worker_throws_the_old_cache_away(
    phone: BrowserContext, server: LiveServer
) -> None:
    page = open_with_worker(phone, server.url)
    (current,) = page.evaluate("caches.keys()")
    page.evaluate("caches.open('rollcall-of-last-week')")
    page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.unregister())")
    page.reload()
    page.evaluate(WORKER_RULES)

    assert page.evaluate("caches.keys()") == [current]


@pytest.mark.parametrize("path", ["/", "/kiosk/"])
def test_the_browser_itself_finds_the_app_installable(
    phone: BrowserContext, server: LiveServer, path: str
) -> None:
    page = open_with_worker(phone, server.url + path)
    browser_says = phone.new_cdp_session(page)
    assert browser_says.send("Page.getAppManifest")["errors"] == []
    obstacles = browser_says.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # The test's own window is a private one.
    assert [obstacle["errorId"] for obstacle in obstacles] == ["in-incognito"]


def test_the_install_button_asks_the_browser_once(
    phone: BrowserContext, server: LiveServer, erin: User
) -> None:
    log_in(phone, server, erin)
    page = phone.new_page()
    page.goto(f"{server.url}/app/")
    button = page.get_by_role("button", name="Install Rollcall")
    expect(button).to_be_hidden()

    page.evaluate(
        """() => {
          window.asked = 0;
          const offer = new Event("beforeinstallprompt", { cancelable: true });
          offer.prompt = async () => { window.asked += 1; };
          window.dispatchEvent(offer);
        }"""
    )
    button.click()
    expect(button).to_be_hidden()
    assert page.evaluate("window.asked") == 1
    page.evaluate("window.dispatchEvent(new Event('appinstalled'))")
    expect(page.get_by_role("status")).to_have_text("Rollcall is installed on this device.")


def has_its_style(page: Page) -> bool:
    """The button's colour comes from two style sheets that were kept."""
    page.wait_for_load_state()
    colour = page.get_by_role("link", name="Try again").evaluate(
        "button => getComputedStyle(button).backgroundColor"
    )
    return colour in ("rgb(29, 86, 196)", "rgb(141, 180, 255)")

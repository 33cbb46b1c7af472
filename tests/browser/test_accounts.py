"""Accounts in a real browser: mail from a real SMTP server, a real provider, a virtual passkey."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from allauth.account.models import EmailAddress
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from tests.support.letterbox import Letterbox
from tests.support.live_server import LiveServer, running_server
from tests.support.oidc_provider import OidcProvider, oidc_provider

PASSWORD = "correct horse battery"
PHONE = {"width": 390, "height": 844}

pytestmark = pytest.mark.django_db(transaction=True)

Complaints = Callable[[Page], list[str]]


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as provider:
        yield provider


@pytest.fixture
def dana(transactional_db: None) -> User:
    user = User.objects.create_user("dana", "dana@example.edu", PASSWORD)
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@pytest.fixture
def page(browser: Browser) -> Page:
    return browser.new_context(viewport=PHONE).new_page()  # type: ignore[arg-type]


def log_in(page: Page, login: str, password: str = PASSWORD) -> None:
    page.get_by_label("Username or e-mail").fill(login)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in", exact=True).click()


def test_a_student_signs_up_and_comes_back_after_forgetting_the_password(
    page: Page, server: LiveServer, letterbox: Letterbox, complaints: Complaints
) -> None:
    heard = complaints(page)
    page.goto(server.url)
    page.get_by_role("link", name="Sign up").first.click()
    page.get_by_label("Username").fill("erin")
    page.get_by_label("E-mail").fill("erin@example.edu")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, once more").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.locator("h1")).to_have_text("Check your mail")

    page.goto(letterbox.link("Confirm your e-mail"))
    page.get_by_role("button", name="Confirm").click()
    expect(page.locator("h1")).to_have_text("Your account")
    expect(page.locator("main")).to_contain_text("erin@example.edu")

    page.goto(f"{server.url}/accounts/2fa/totp/activate/")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("img.qr")).to_be_visible()
    assert page.locator("img.qr").evaluate("image => image.naturalWidth") > 0

    page.goto(f"{server.url}/me/")
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in").first.click()
    page.get_by_role("link", name="Forgot").click()
    page.get_by_label("E-mail").fill("erin@example.edu")
    page.get_by_role("button", name="Send the link").click()
    expect(page.locator("h1")).to_have_text("Check your mail")
    page.goto(letterbox.link("Choose a new password"))
    page.get_by_label("New password", exact=True).fill(PASSWORD + "!")
    page.get_by_label("New password, once more").fill(PASSWORD + "!")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator("h1")).to_have_text("Your password is changed")
    page.get_by_role("link", name="Log in").last.click()
    log_in(page, "erin", PASSWORD + "!")
    expect(page.locator("h1")).to_have_text("Your account")
    assert heard == []
    assert User.objects.get().username == "erin"


def test_a_student_signs_up_with_the_university_account(
    page: Page, provider: OidcProvider, complaints: Complaints
) -> None:
    with running_server(**provider.environment) as server:
        heard = complaints(page)
        page.goto(f"{server.url}/accounts/signup/")
        page.get_by_role("button", name="Go on with University account").click()
        expect(page.locator("h1")).to_have_text("Your account")
        expect(page.locator("main")).to_contain_text("erin@example.edu")
        assert heard == []


def test_a_passkey_is_added_and_logs_in(
    server: LiveServer, page: Page, dana: User, complaints: Complaints
) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    device = devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    # A passkey belongs to a name, and an IP address is none.
    home = server.url.replace("127.0.0.1", "localhost")
    heard = complaints(page)
    page.goto(f"{home}/accounts/login/")
    log_in(page, "dana")
    page.goto(f"{home}/accounts/2fa/")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name of the device").fill("Phone")
    page.get_by_role("button", name="Add").click()
    expect(page.locator("h1")).to_have_text("Recovery codes")
    [key] = devtools.send("WebAuthn.getCredentials", device)["credentials"]
    assert key["isResidentCredential"]

    page.goto(f"{home}/me/")
    page.get_by_role("button", name="Log out").click()
    page.goto(f"{home}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.locator("h1")).to_have_text("Your account")

    page.get_by_role("button", name="Log out").click()
    page.goto(f"{home}/accounts/login/")
    log_in(page, "dana")
    expect(page.locator("h1")).to_have_text("Second factor")
    page.get_by_role("button", name="Use your passkey").click()
    expect(page.locator("h1")).to_have_text("Your account")

    page.get_by_role("button", name="Log out").click()
    devtools.send("WebAuthn.setUserVerified", {**device, "isUserVerified": False})
    page.goto(f"{home}/accounts/login/")
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("That did not work")
    assert heard == []

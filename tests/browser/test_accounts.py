"""Sign-up in a real browser, with the mail fetched from a real SMTP server."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from playwright.sync_api import Browser, Page, expect

from accounts.models import User
from tests.support.live_server import free_port, running_server

PASSWORD = "correct horse battery"
PHONE = {"width": 390, "height": 844}


class Letterbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"

    def link(self) -> str:
        """In the newest mail."""
        found = re.search(r"http://\S+", self.mails[-1].get_content())
        assert found
        return found[0]


@pytest.fixture
def letterbox() -> Iterator[tuple[Letterbox, str]]:
    """With the EMAIL_URL that leads to it."""
    box, port = Letterbox(), free_port()
    smtp = Controller(box, hostname="127.0.0.1", port=port)
    smtp.start()
    yield box, f"smtp://127.0.0.1:{port}"
    smtp.stop()


@pytest.mark.django_db(transaction=True)
def test_a_student_signs_up_and_comes_back_after_forgetting_the_password(
    browser: Browser,
    letterbox: tuple[Letterbox, str],
    complaints: Callable[[Page], list[str]],
) -> None:
    box, email_url = letterbox
    with running_server(EMAIL_URL=email_url) as server:
        page = browser.new_context(viewport=PHONE).new_page()  # type: ignore[arg-type]
        heard = complaints(page)
        page.goto(server.url)
        page.get_by_role("link", name="Sign up").click()
        page.get_by_label("Username").fill("erin")
        page.get_by_label("E-mail").fill("erin@example.edu")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password, once more").fill(PASSWORD)
        page.get_by_role("button", name="Sign up").click()
        expect(page.locator("h1")).to_have_text("Check your mail")

        page.goto(box.link())
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
        page.get_by_role("link", name="Log in").click()
        page.get_by_role("link", name="Forgot").click()
        page.get_by_label("E-mail").fill("erin@example.edu")
        page.get_by_role("button", name="Send the link").click()
        expect(page.locator("h1")).to_have_text("Check your mail")
        page.goto(box.link())
        page.get_by_label("New password", exact=True).fill(PASSWORD + "!")
        page.get_by_label("New password, once more").fill(PASSWORD + "!")
        page.get_by_role("button", name="Change password").click()
        expect(page.locator("h1")).to_have_text("Your password is changed")
        page.get_by_role("link", name="Log in").last.click()
        page.get_by_label("Username or e-mail").fill("erin")
        page.get_by_label("Password").fill(PASSWORD + "!")
        page.get_by_role("button", name="Log in").click()
        expect(page.locator("h1")).to_have_text("Your account")
        assert heard == []
    assert User.objects.get().username == "erin"

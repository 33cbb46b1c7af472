"""From the form over the mailed link to the own page."""

from __future__ import annotations

import pytest

from accounts.models import User
from tests.accounts.conftest import PASSWORD, is_logged_in, link_in, log_in
from tests.support.school import a_student

pytestmark = pytest.mark.django_db

FORM = {
    "username": "erin",
    "email": "erin@example.edu",
    "password1": PASSWORD,
    "password2": PASSWORD,
}


def sign_up(client, **changes):
    return client.post("/accounts/signup/", {**FORM, **changes})


def test_the_mailed_link_confirms_and_logs_in(client, mailoutbox):
    answer = sign_up(client)
    assert answer.url == "/accounts/confirm-email/"
    assert not is_logged_in(client)
    [mail] = mailoutbox
    assert mail.to == ["erin@example.edu"]

    page = client.get(link_in(mail))
    assert "erin@example.edu" in page.text
    assert not is_logged_in(client), "a mail scanner that opens the link confirms nothing"
    assert client.post(link_in(mail)).url == "/me/"
    assert "erin@example.edu" in client.get("/me/").text


def test_on_another_device_the_link_confirms_and_asks_for_the_password(client, mailoutbox):
    sign_up(client)
    client.cookies.clear()
    assert client.post(link_in(mailoutbox[0])).url == "/accounts/login/"
    assert log_in(client, "erin").url == "/me/"


def test_nobody_logs_in_before_the_address_is_confirmed(client, mailoutbox):
    sign_up(client)
    client.cookies.clear()
    assert log_in(client, "erin").url == "/accounts/confirm-email/"
    assert not is_logged_in(client)


def test_a_wrong_confirmation_link_says_what_to_do(client):
    assert "used or is too old" in client.get("/accounts/confirm-email/nonsense/").text


def test_a_known_address_gets_the_same_answer_and_its_owner_a_mail(client, dana, mailoutbox):
    answer = sign_up(client, email="DANA@example.edu")
    assert answer.url == "/accounts/confirm-email/"
    assert not User.objects.filter(username="erin").exists()
    [mail] = mailoutbox
    assert mail.to == ["dana@example.edu"]
    assert "has an account already" in mail.body


def test_a_taken_username_is_refused_whatever_its_case(client, dana):
    page = sign_up(client, username="Dana")
    assert page.context["form"].has_error("username")


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("12345678901", "entirely numeric"),
        ("password", "too common"),
        ("short1!", "too short"),
        ("erin@example", "too similar"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(client, password, reason):
    page = sign_up(client, password1=password, password2=password)
    assert reason in page.text
    assert not User.objects.exists()


def test_two_different_passwords_are_refused(client):
    page = sign_up(client, password2=PASSWORD + "!")
    assert page.context["form"].has_error("password2")


def test_too_many_sign_ups_from_one_address_are_stopped_and_logged(client, settings, caplog):
    settings.ACCOUNT_RATE_LIMITS = {"signup": "2/m/ip"}
    for _ in range(2):
        assert sign_up(client, password2="").status_code == 200
    page = sign_up(client)
    assert page.status_code == 429
    assert "Too many tries" in page.text
    assert "too many requests: account_signup" in caplog.text


def test_the_own_page_says_whether_a_roster_entry_is_linked(client, dana):
    client.force_login(dana)
    assert "Not linked" in client.get("/me/").text
    a_student("S-7", "Dana Scully", user=dana)
    page = client.get("/me/").text
    assert "S-7" in page
    assert "Dana Scully" in page


def test_the_own_page_is_for_those_who_are_logged_in(client):
    assert client.get("/me/").url == "/accounts/login/?next=/me/"

"""One way in for students and staff, and slow for those who guess."""

from __future__ import annotations

import pytest
from django.core.cache import cache

from accounts.models import User
from tests.accounts.conftest import PASSWORD, is_logged_in, log_in

pytestmark = pytest.mark.django_db

WRONG = "not the password"


@pytest.fixture
def lecturer(alice: User) -> User:
    """Alice, with a password; an administrator made her account."""
    alice.set_password(PASSWORD)
    alice.save()
    return alice


@pytest.mark.parametrize("login", ["dana", "dana@example.edu", "Dana@Example.edu"])
def test_a_student_logs_in_with_name_or_address_and_out_again(client, dana, login):
    assert log_in(client, login).url == "/me/"
    assert "dana@example.edu" in client.get("/me/").text
    assert client.post("/accounts/logout/").url == "/"
    assert not is_logged_in(client)


def test_staff_come_to_the_desk(client, lecturer):
    assert client.get("/admin/").url == "/admin/login/?next=/admin/"
    assert client.get("/admin/login/?next=/admin/").url == "/accounts/login/?next=%2Fadmin%2F"
    assert log_in(client, "alice").url == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_an_administrator_without_an_address_logs_in(client):
    User.objects.create_superuser("root", password=PASSWORD)
    assert log_in(client, "root").url == "/admin/"


def test_the_desk_is_closed_to_students(client, dana):
    log_in(client, "dana")
    assert client.get("/admin/login/?next=/admin/").status_code == 403
    assert client.get("/admin/").status_code == 302


def test_the_admins_own_login_form_takes_no_password(client, lecturer):
    answer = client.post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert answer.url.startswith("/accounts/login/")
    assert not is_logged_in(client)


def test_unknown_names_and_wrong_passwords_get_the_same_answer(client, dana):
    known = log_in(client, "dana", WRONG).context["form"].errors
    unknown = log_in(client, "nobody", WRONG).context["form"].errors
    assert known == unknown


def test_after_five_wrong_passwords_the_right_one_has_to_wait(client, dana):
    for _ in range(5):
        log_in(client, "dana", WRONG)
    page = log_in(client, "dana")
    assert "Too many failed login attempts" in page.text
    assert not is_logged_in(client)
    cache.clear()  # the five minutes are over
    assert log_in(client, "dana").url == "/me/"


def test_guessing_at_one_account_leaves_others_alone(client, dana, lecturer):
    for _ in range(6):
        log_in(client, "alice", WRONG)
    assert log_in(client, "dana").url == "/me/"


def test_guesses_are_logged_by_id_without_name_address_or_password(client, dana, caplog):
    for _ in range(6):
        log_in(client, "dana@example.edu", WRONG)
    log_in(client, "somebody@example.edu", WRONG)
    assert f"login failed: account {dana.pk}" in caplog.text
    assert f"login refused, too many attempts: account {dana.pk}" in caplog.text
    assert "login failed: account unknown" in caplog.text
    for personal in ("dana", "somebody", WRONG, "127.0.0.1"):
        assert personal not in caplog.text


def test_the_browser_forgets_unless_asked_to_stay(client, dana):
    log_in(client, "dana")
    assert client.session.get_expire_at_browser_close()


def test_a_next_address_on_another_site_is_not_followed(client, dana):
    answer = client.post(
        "/accounts/login/",
        {"login": "dana", "password": PASSWORD, "next": "https://evil.example/"},
    )
    assert answer.url == "/me/"


def test_behind_a_proxy_a_made_up_address_does_not_escape_the_limit(client, dana, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    settings.ACCOUNT_RATE_LIMITS = {"login": "2/m/ip"}
    statuses = [
        client.post(
            "/accounts/login/", headers={"x-forwarded-for": f"10.0.0.{i}, 203.0.113.9"}
        ).status_code
        for i in range(3)
    ]
    assert statuses == [200, 200, 429]


def test_the_header_shows_the_way_in_or_the_account(client, dana):
    assert "/accounts/signup/" in client.get("/").text
    log_in(client, "dana")
    page = client.get("/").text
    assert "/accounts/signup/" not in page
    assert 'href="/me/"' in page

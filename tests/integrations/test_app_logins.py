"""Own apps and the command line log in as on the page: the same limits, the same second factor."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken

from accounts.models import User
from checkin.retention import purge
from integrations.app_logins.models import AppLogin
from roster.models import Course, Student
from tests.support.api import Api
from tests.support.school import an_account_of, an_attendance
from tests.support.traces import tables_with

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
TOTP_SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]


@pytest.fixture
def eileens_account(eileen: Student) -> User:
    return an_account_of(eileen, password=PASSWORD)


@pytest.fixture
def lecturer(alice: User, settings: Settings) -> User:
    settings.STAFF_SECOND_FACTOR = True
    alice.set_password(PASSWORD)
    alice.save()
    return alice


def with_authenticator_app(user: User) -> User:
    TOTP.activate(user, TOTP_SECRET)
    return user


def code_now(*, steps_ago: int = 0) -> str:
    step = int(time.time()) // 30 - steps_ago
    return format_hotp_value(hotp_value(TOTP_SECRET, step))


def log_in(username: str, password: str = PASSWORD, **more: str) -> Any:
    body = {"username": username, "password": password, "app": "rollcall-cli", **more}
    return Api().write("POST", "log-in/", body)


def renew(refresh: str) -> Any:
    return Api().write("POST", "log-in/renew/", {"refresh": refresh})


def test_a_student_logs_in_and_sees_the_own_attendance_alone(
    eileens_account: User, eileen: Student, dmitri: Student, math_session: Any, math: Course
) -> None:
    an_attendance(math_session, eileen)
    an_attendance(math_session, dmitri)
    answer = log_in("eileen")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    api = Api(answer.json()["access"])
    rows = api.get("attendance/").json()["results"]
    assert [row["student"]["student_id"] for row in rows] == ["S-1"]
    assert api.get("me/").json()["student"]["name"] == "Eileen Collins"
    assert api.get("students/").json()["code"] == "not_permitted"


def test_the_address_serves_as_a_name(eileens_account: User) -> None:
    assert log_in("eileen@example.edu").status_code == 200


@pytest.mark.parametrize(
    ("username", "password"), [("eileen", "wrong"), ("nobody", PASSWORD), ("root", "")]
)
def test_wrong_names_and_passwords_are_answered_alike(
    eileens_account: User, username: str, password: str
) -> None:
    answer = log_in(username, password or "x")
    assert (answer.status_code, answer.json()["code"]) == (401, "login_refused")
    assert answer.json()["detail"] == "Name and password do not belong together."


def test_five_wrong_passwords_close_the_account_here_and_on_the_page(
    eileens_account: User, client: Client
) -> None:
    for _ in range(5):
        assert log_in("eileen", "wrong").status_code == 401
    closed = log_in("eileen")
    assert (closed.status_code, closed.headers["Retry-After"]) == (429, "300")
    page = client.post("/accounts/login/", {"login": "eileen", "password": PASSWORD})
    assert "Too many failed login attempts" in page.text


def test_an_address_that_was_never_confirmed_logs_nobody_in(eileens_account: User) -> None:
    EmailAddress.objects.update(verified=False)
    assert log_in("eileen").json()["code"] == "login_refused"


def test_an_account_that_is_switched_off_logs_nobody_in(eileens_account: User) -> None:
    User.objects.update(is_active=False)
    assert log_in("eileen").json()["code"] == "login_refused"


# The second factor


def test_a_password_alone_gives_staff_nothing(lecturer: User) -> None:
    answer = log_in("alice")
    assert (answer.status_code, answer.json()["code"]) == (401, "second_factor_needed")
    assert not AppLogin.objects.exists()


def test_whoever_has_an_authenticator_app_needs_its_code(lecturer: User) -> None:
    with_authenticator_app(lecturer)
    assert log_in("alice").json()["code"] == "second_factor_needed"
    assert log_in("alice", code="000000").json()["code"] == "login_refused"
    answer = log_in("alice", code=code_now())
    assert Api(answer.json()["access"]).get("courses/").status_code == 200


def test_a_code_opens_once(lecturer: User) -> None:
    with_authenticator_app(lecturer)
    code = code_now()
    assert log_in("alice", code=code).status_code == 200
    assert log_in("alice", code=code).json()["code"] == "login_refused"


def test_five_wrong_codes_close_the_account(lecturer: User) -> None:
    with_authenticator_app(lecturer)
    for _ in range(5):
        assert log_in("alice", code="000000").status_code == 401
    assert log_in("alice", code=code_now()).status_code == 429


@pytest.mark.parametrize("kind", [Authenticator.Type.WEBAUTHN, Authenticator.Type.RECOVERY_CODES])
def test_what_is_no_authenticator_app_is_no_second_factor_here(lecturer: User, kind: str) -> None:
    Authenticator.objects.create(user=lecturer, type=kind, data={})
    assert log_in("alice", code="123456").json()["code"] == "second_factor_needed"


def test_a_log_in_without_second_factor_ends_when_somebody_comes_to_work_here(
    eileens_account: User, settings: Settings
) -> None:
    settings.STAFF_SECOND_FACTOR = True
    api = Api(log_in("eileen").json()["access"])
    assert api.get("me/").status_code == 200
    User.objects.update(is_staff=True)
    assert api.get("me/").json()["code"] == "invalid_token"


# Renewing and ending


def test_a_pair_is_renewed_and_the_old_refresh_token_ends_everything(
    eileens_account: User,
) -> None:
    first = log_in("eileen").json()
    second = renew(first["refresh"]).json()
    assert Api(second["access"]).get("me/").status_code == 200

    assert renew(first["refresh"]).json()["code"] == "login_refused"
    assert renew(second["refresh"]).json()["code"] == "login_refused"
    assert Api(second["access"]).get("me/").json()["code"] == "invalid_token"


def test_logging_out_ends_the_access_token_too(eileens_account: User) -> None:
    pair = log_in("eileen").json()
    assert Api().write("POST", "log-out/", {"refresh": pair["refresh"]}).status_code == 200
    assert Api(pair["access"]).get("me/").status_code == 401
    assert renew(pair["refresh"]).status_code == 401


def test_the_desk_ends_a_log_in_and_shows_its_last_use(
    eileens_account: User, administrator: User, client: Client
) -> None:
    pair = log_in("eileen").json()
    client.force_login(administrator)
    address = reverse("admin:integrations_applogin_changelist")
    page = client.get(address)
    assert "rollcall-cli" in page.text
    assert pair["refresh"] not in page.text
    login = AppLogin.objects.get()
    client.post(address, {"action": "end_logins", "_selected_action": [login.pk]})
    assert Api(pair["access"]).get("me/").status_code == 401


@pytest.mark.parametrize("which", ["access", "refresh"])
def test_tokens_do_not_serve_as_each_other(eileens_account: User, which: str) -> None:
    pair = log_in("eileen").json()
    if which == "access":
        assert renew(pair["access"]).status_code == 401
    else:
        assert Api(pair["refresh"]).get("me/").status_code == 401


def test_a_token_that_ran_out_or_was_signed_by_another_key_opens_nothing(
    eileens_account: User,
) -> None:
    log_in("eileen")
    login = AppLogin.objects.get()
    token = AccessToken.for_user(login.user)
    token["login"] = str(login.key)
    assert Api(str(token)).get("me/").status_code == 200
    token.set_exp(lifetime=-timedelta(seconds=1))
    assert Api(str(token)).get("me/").status_code == 401

    header, payload, signature = str(AccessToken.for_user(login.user)).split(".")
    assert Api(f"{header}.{payload}.{signature[::-1]}").get("me/").status_code == 401


def test_no_token_is_stored(eileens_account: User) -> None:
    pair = renew(log_in("eileen").json()["refresh"]).json()
    assert not tables_with(pair["access"], pair["refresh"])
    assert OutstandingToken.objects.count() == 2


def test_log_ins_that_ran_out_are_deleted(eileens_account: User) -> None:
    log_in("eileen")
    purge(timezone.now())
    assert AppLogin.objects.count() == 1
    later = timezone.now() + timedelta(days=django_settings.API_LOGIN_DAYS + 1)
    purge(later)
    assert not AppLogin.objects.exists()
    assert not OutstandingToken.objects.exists()

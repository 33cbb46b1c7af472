"""A choice for students, a must for staff in production."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.test import Client, RequestFactory

from accounts.models import User
from tests.accounts.conftest import PASSWORD, is_logged_in, link_in, log_in

pytestmark = pytest.mark.django_db

NEW = "staple battery horse"
CHOICE = "/accounts/2fa/"
SET_UP = "/accounts/2fa/totp/activate/"


@pytest.fixture
def lecturer(alice: User, settings) -> User:
    """Alice, in production."""
    settings.STAFF_SECOND_FACTOR = True
    alice.set_password(PASSWORD)
    alice.save()
    return alice


def code_of(secret: str, *, step: int = 0) -> str:
    """What the app shows now, or so many half minutes later."""
    counter = int(time.time()) // 30 + step
    return format_hotp_value(hotp_value(secret, counter))


def set_up(client) -> str:
    """Scan the picture as the person would; the secret is what the app then knows."""
    secret = client.get(SET_UP).context["form"].secret
    assert client.post(SET_UP, {"code": code_of(secret)}).url == "/accounts/2fa/recovery-codes/"
    return secret


def recovery_codes(user: User) -> list[str]:
    return Authenticator.objects.get(user=user, type="recovery_codes").wrap().get_unused_codes()


def test_staff_without_it_are_sent_to_set_it_up(client, lecturer):
    log_in(client, "alice")
    for address in ("/admin/", "/admin/roster/student/", "/admin/checkin/attendance/"):
        assert client.get(address).url == CHOICE
    page = client.get(CHOICE)
    assert "The desk needs a second factor" in page.text
    assert SET_UP in page.text
    assert "/accounts/2fa/webauthn/add/" in page.text
    assert "data:image/svg+xml" in client.get(SET_UP).text


def test_recovery_codes_are_no_second_factor_of_their_own(client, lecturer):
    lecturer.authenticator_set.create(type="recovery_codes", data={"seed": "x", "used_mask": 0})
    log_in(client, "alice")
    assert client.get("/admin/").url == CHOICE


def test_a_session_from_before_the_passkey_has_to_show_it(client, lecturer):
    log_in(client, "alice")
    lecturer.authenticator_set.create(type="webauthn", data={"name": "phone", "credential": {}})
    assert client.get("/admin/").url == "/accounts/2fa/webauthn/reauthenticate/?next=%2Fadmin%2F"


@pytest.mark.django_db(transaction=True)  # the session learns of it after the commit
def test_once_it_is_set_up_the_desk_opens_without_a_second_question(client, lecturer):
    log_in(client, "alice")
    set_up(client)
    assert client.get("/admin/").status_code == 200


def test_at_the_next_login_the_code_is_asked_for(client, lecturer):
    log_in(client, "alice")
    secret = set_up(client)
    client.post("/accounts/logout/")

    assert log_in(client, "alice").url == "/accounts/2fa/authenticate/"
    assert client.get("/admin/").status_code == 302
    assert not is_logged_in(client), "the password alone is not enough"
    wrong = client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert "Incorrect code" in wrong.text
    right = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret, step=1)})
    assert right.url == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_a_recovery_code_logs_in_once(client, lecturer):
    log_in(client, "alice")
    set_up(client)
    code = recovery_codes(lecturer)[0]
    assert code in client.get("/accounts/2fa/recovery-codes/").text
    client.post("/accounts/logout/")
    log_in(client, "alice")
    assert client.post("/accounts/2fa/authenticate/", {"code": code}).url == "/admin/"
    client.post("/accounts/logout/")
    log_in(client, "alice")
    assert client.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 200


def test_a_passkey_opens_the_desk(client, lecturer):
    lecturer.authenticator_set.create(type="webauthn", data={"name": "phone", "credential": {}})
    client.force_login(lecturer)
    request = RequestFactory().get("/")
    request.session = client.session
    record_authentication(request, lecturer, "mfa", type="webauthn")
    request.session.save()
    assert client.get("/admin/").status_code == 200


def test_a_session_from_before_has_to_show_it_too(client, lecturer):
    old = Client()
    log_in(old, "alice")
    log_in(client, "alice")
    secret = set_up(client)

    answer = old.get("/admin/roster/student/")
    assert answer.url == "/accounts/2fa/reauthenticate/?next=%2Fadmin%2Froster%2Fstudent%2F"
    back = old.post(answer.url, {"code": code_of(secret, step=1)})
    assert back.url == "/admin/roster/student/"
    assert old.get(back.url).status_code == 200


def test_five_wrong_codes_have_to_wait_and_are_logged(client, lecturer, caplog):
    log_in(client, "alice")
    secret = set_up(client)
    client.post("/accounts/logout/")
    log_in(client, "alice")
    for _ in range(5):
        client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    page = client.post("/accounts/2fa/authenticate/", {"code": code_of(secret, step=1)})
    assert "Too many failed login attempts" in page.text
    assert f"wrong code of the second factor: account {lecturer.pk}" in caplog.text
    assert "alice" not in caplog.text


def test_in_a_demo_staff_are_not_asked(client, alice):
    client.force_login(alice)
    assert client.get("/admin/").status_code == 200


def test_a_student_may_have_it_too_and_switch_it_off(client, dana, settings):
    settings.STAFF_SECOND_FACTOR = True
    log_in(client, "dana")
    assert "Off" in client.get("/me/").text
    set_up(client)
    assert "Manage" in client.get("/me/").text
    assert "10 recovery codes are left" in client.get("/accounts/2fa/").text
    assert client.post("/accounts/2fa/totp/deactivate/").url == "/accounts/2fa/"
    assert not Authenticator.objects.exists()


def test_after_a_while_the_password_is_asked_for_before_it_is_changed(client, dana, settings):
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    log_in(client, "dana")
    assert client.get(SET_UP).url == f"/accounts/reauthenticate/?next={quote(SET_UP, safe='')}"
    assert "Is it you?" in client.get("/accounts/reauthenticate/").text


def test_the_apps_secret_is_encrypted_in_the_database(client, dana):
    log_in(client, "dana")
    secret = set_up(client)
    assert secret not in str(list(Authenticator.objects.values_list("data", flat=True)))


def test_a_reset_password_does_not_go_around_it(client, dana, mailoutbox):
    log_in(client, "dana")
    set_up(client)
    client.post("/accounts/logout/")
    client.post("/accounts/password/reset/", {"email": dana.email})
    [mail] = [mail for mail in mailoutbox if "password/reset/key" in mail.body]
    form = client.get(link_in(mail), follow=True)
    client.post(form.request["PATH_INFO"], {"password1": NEW, "password2": NEW})
    assert not is_logged_in(client)
    assert log_in(client, "dana", NEW).url == "/accounts/2fa/authenticate/"


def test_an_administrator_takes_it_from_somebody_who_lost_the_telephone(client, admin, dana):
    Authenticator.objects.create(user=dana, type="totp", data={"secret": "sealed-secret"})
    client.force_login(admin)
    row = Authenticator.objects.get()
    assert "sealed-secret" not in client.get(f"/admin/mfa/authenticator/{row.pk}/change/").text
    client.post(f"/admin/mfa/authenticator/{row.pk}/delete/", {"post": "yes"})
    assert not Authenticator.objects.exists()

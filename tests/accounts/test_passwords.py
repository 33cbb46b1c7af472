"""Changed by those who know it, reset by a mailed link by those who do not."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.accounts.conftest import PASSWORD, is_logged_in, link_in, log_in

pytestmark = pytest.mark.django_db

NEW = "staple battery horse"
CHOICE = {"password1": NEW, "password2": NEW}
DEAD = "This link does not work any more"


def ask(client, email="dana@example.edu"):
    return client.post("/accounts/password/reset/", {"email": email})


def test_a_mailed_link_sets_a_new_password_once(client, dana, mailoutbox):
    ask(client)
    link = link_in(mailoutbox[0])
    form = client.get(link, follow=True)
    assert "Choose a new password" in form.text
    done = client.post(form.request["PATH_INFO"], CHOICE, follow=True)
    assert "Your password is changed" in done.text

    assert not is_logged_in(client)
    assert log_in(client, "dana", NEW).url == "/me/"
    client.post("/accounts/logout/")
    assert DEAD in client.get(link, follow=True).text
    assert DEAD in client.post(form.request["PATH_INFO"], CHOICE).text
    assert mailoutbox[1].to == ["dana@example.edu"], "the owner hears of the change"


def test_an_expired_link_says_so(client, dana, mailoutbox, settings):
    ask(client)
    settings.PASSWORD_RESET_TIMEOUT = -1
    page = client.get(link_in(mailoutbox[0]), follow=True)
    assert DEAD in page.text
    assert "/accounts/password/reset/" in page.text


def test_a_made_up_link_says_so(client):
    assert DEAD in client.get("/accounts/password/reset/key/1-abc-def/").text


def test_a_login_with_the_old_password_ends_the_link(client, dana, mailoutbox):
    ask(client)
    dana.last_login = timezone.now() + timedelta(seconds=1)
    dana.save()
    assert DEAD in client.get(link_in(mailoutbox[0]), follow=True).text


def test_known_and_unknown_addresses_get_the_same_answer(client, dana, mailoutbox):
    known, unknown = (
        re.sub(r'value="\w{64}"', "", client.get(ask(client, email).url).text)  # the form's token
        for email in ("dana@example.edu", "x@example.edu")
    )
    assert known == unknown
    assert "If an account has this address" in known
    assert "password/reset/key" in mailoutbox[0].body
    assert "password/reset/key" not in mailoutbox[1].body


def test_a_weak_new_password_is_refused(client, dana, mailoutbox):
    ask(client)
    form = client.get(link_in(mailoutbox[0]), follow=True)
    page = client.post(
        form.request["PATH_INFO"], {"password1": "12345678901", "password2": "12345678901"}
    )
    assert "entirely numeric" in page.text


def test_a_password_is_changed_by_those_who_know_it(client, dana):
    log_in(client, "dana")
    change = "/accounts/password/change/"
    assert client.post(change, {"oldpassword": "guess", **CHOICE}).status_code == 200
    assert client.post(change, {"oldpassword": PASSWORD, **CHOICE}).url == "/me/"
    assert is_logged_in(client), "this device stays logged in"
    client.post("/accounts/logout/")
    assert log_in(client, "dana", NEW).url == "/me/"


def test_a_changed_password_logs_other_devices_out(client, dana, django_user_model):
    log_in(client, "dana")
    dana.set_password(NEW)
    dana.save()
    assert not is_logged_in(client)


def test_the_desk_leads_to_the_same_page_for_passwords(client, alice):
    client.force_login(alice)
    assert client.get("/admin/password_change/").url == "/accounts/password/change/"

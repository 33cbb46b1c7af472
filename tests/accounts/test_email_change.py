"""A new address counts once its owner has opened the link, and the old one hears of it."""

from __future__ import annotations

import pytest
from allauth.account.models import EmailAddress
from django.test import Client

from accounts.models import User
from tests.accounts.conftest import PASSWORD, link_in, log_in

pytestmark = pytest.mark.django_db

PAGE = "/accounts/email/"
NEW = "dana@new.example.edu"


def ask_for(client: Client, email: str = NEW):
    return client.post(PAGE, {"action_add": "", "email": email}, follow=True)


def email_of(user: User) -> str:
    user.refresh_from_db()
    return user.email


@pytest.fixture
def as_dana(client: Client, dana: User) -> Client:
    log_in(client, "dana")
    return client


def test_a_new_address_counts_after_its_link_was_opened(as_dana, dana, mailoutbox):
    page = ask_for(as_dana)
    assert f"<strong>{NEW}</strong> is not confirmed yet" in page.text
    assert email_of(dana) == "dana@example.edu"
    [to_new] = mailoutbox
    assert to_new.to == [NEW]

    as_dana.post(link_in(to_new))
    assert email_of(dana) == NEW
    assert EmailAddress.objects.get().email == NEW, "the old one opens nothing any more"
    to_old = mailoutbox[1]
    assert to_old.to == ["dana@example.edu"]
    assert NEW in to_old.body
    assert "is not confirmed" not in as_dana.get(PAGE).text


def test_the_old_address_logs_in_until_then(as_dana, client):
    ask_for(as_dana)
    client.post("/accounts/logout/")
    assert log_in(client, "dana@example.edu").url == "/me/"


def test_a_change_can_be_given_up(as_dana, dana, mailoutbox):
    ask_for(as_dana)
    as_dana.post(PAGE, {"action_remove": "", "email": NEW})
    assert "used or is too old" in as_dana.get(link_in(mailoutbox[0])).text
    assert email_of(dana) == "dana@example.edu"


def test_a_second_wish_replaces_the_first(as_dana, mailoutbox):
    ask_for(as_dana)
    ask_for(as_dana, "dana@third.example.edu")
    assert "used or is too old" in as_dana.get(link_in(mailoutbox[0])).text


def test_a_taken_address_is_not_told_and_not_given(as_dana, dana, alice, mailoutbox):
    page = ask_for(as_dana, alice.email)
    assert "is not confirmed yet" in page.text
    answer = as_dana.post(link_in(mailoutbox[0]), follow=True)
    assert "belongs to another account" in answer.text
    assert email_of(dana) == "dana@example.edu"


def test_the_session_of_somebody_who_left_the_room_is_not_enough(as_dana, settings):
    settings.ACCOUNT_REAUTHENTICATION_TIMEOUT = 0
    assert "Is it you?" in ask_for(as_dana).text
    assert EmailAddress.objects.count() == 1


def test_an_account_made_by_an_administrator_still_opens_after_a_look_at_the_page(client, alice):
    alice.set_password(PASSWORD)
    alice.save()
    log_in(client, "alice")
    assert alice.email in client.get(PAGE).text
    client.post("/accounts/logout/")
    assert log_in(client, "alice").url == "/admin/"

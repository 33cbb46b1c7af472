"""The kiosk page, and how a browser becomes a kiosk."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from checkin.services import revoke_kiosk

PAGE = reverse("kiosk")
PAIR = reverse("kiosk-pair")


def test_a_good_token_becomes_a_cookie_that_scripts_cannot_read(client, kiosk, token):
    answer = client.post(PAIR, {"token": token})
    assert answer.status_code == 200
    assert answer.json() == {"kiosk": "Door of 101"}
    cookie = answer.cookies["kiosk_token"]
    assert cookie.value == token
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["secure"]
    assert cookie["max-age"] > 0


def test_the_cookie_goes_over_plain_http_while_developing(settings, client, token):
    settings.DEBUG = True
    assert not client.post(PAIR, {"token": token}).cookies["kiosk_token"]["secure"]


def test_spaces_around_a_copied_token_do_not_matter(client, token):
    assert client.post(PAIR, {"token": f"  {token}\n"}).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("form", [{}, {"token": ""}, {"token": "rck_wrong"}, {"token": "\x00é"}])
def test_an_unknown_token_is_refused(client, form):
    answer = client.post(PAIR, form)
    assert answer.status_code == 403
    assert answer.json()["code"] == "kiosk_unknown"
    assert "kiosk_token" not in answer.cookies


def test_a_revoked_kiosk_is_refused(client, kiosk, token):
    revoke_kiosk(kiosk)
    answer = client.post(PAIR, {"token": token})
    assert answer.status_code == 403
    assert answer.json()["code"] == "kiosk_revoked"
    assert "kiosk_token" not in answer.cookies


def test_tokens_are_not_logged(client, kiosk, token, caplog):
    client.post(PAIR, {"token": token + "x"})
    revoke_kiosk(kiosk)
    client.post(PAIR, {"token": token})
    assert "pairing was refused" in caplog.text
    assert token not in caplog.text


def test_another_site_cannot_pair_this_browser(token):
    browser = Client(enforce_csrf_checks=True)
    browser.get(PAGE)
    assert browser.post(PAIR, {"token": token}).status_code == 403


def test_the_page_brings_what_its_form_needs(token):
    browser = Client(enforce_csrf_checks=True)
    field = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(PAGE).text)
    assert field
    answer = browser.post(PAIR, {"token": token, "csrfmiddlewaretoken": field[1]})
    assert answer.status_code == 200


@pytest.mark.django_db
def test_pairing_is_no_page_to_visit(client):
    assert client.get(PAIR).status_code == 405
    assert client.post(PAGE).status_code == 405


@pytest.mark.django_db
def test_the_page_knows_whether_it_is_paired(client):
    assert client.get(PAGE).context["config"]["paired"] is False
    client.cookies["kiosk_token"] = "rck_anything"
    page = client.get(PAGE)
    assert page.context["config"]["paired"] is True
    assert "rck_anything" not in page.text

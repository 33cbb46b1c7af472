"""The kiosk page, and how a browser becomes a kiosk."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from checkin.kiosks.pairing import (
    CODE_VALID,
    PairingRefusedError,
    as_shown,
    new_pairing_code,
    pair_device,
)
from checkin.models import Kiosk, PairingCode
from checkin.retention import purge
from checkin.selectors import kiosk_with_token
from checkin.services import issue_kiosk_token, revoke_kiosk
from recognition.engine.codes import read_code
from recognition.engine.types import Image

PAGE = reverse("kiosk")
PAIR = reverse("kiosk-pair")
KIOSKS = reverse("admin:checkin_kiosk_changelist")


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
def test_who_opens_the_address_of_pairing_comes_to_the_page_with_the_form(client):
    answer = client.get(PAIR)
    assert (answer.status_code, answer.url) == (302, PAGE)
    assert client.post(PAGE).status_code == 405


@pytest.mark.django_db
def test_the_page_knows_whether_it_is_paired(client):
    assert client.get(PAGE).context["config"]["paired"] is False
    client.cookies["kiosk_token"] = "rck_anything"
    page = client.get(PAGE)
    assert page.context["config"]["paired"] is True
    assert "rck_anything" not in page.text


# By a code


@pytest.fixture
def code(kiosk: Kiosk) -> str:
    return new_pairing_code(kiosk, at=timezone.now())


def test_a_code_becomes_a_token_of_the_devices_own(client, kiosk, token, code):
    answer = client.post(PAIR, {"code": code})
    assert (answer.status_code, answer.json()) == (200, {"kiosk": "Door of 101"})
    cookie = answer.cookies["kiosk_token"]
    assert cookie["httponly"]
    assert kiosk_with_token(cookie.value) == kiosk
    assert kiosk_with_token(token) is None, "what was paired before is out"
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_code_opens_once(client, code):
    assert client.post(PAIR, {"code": code}).status_code == 200
    again = Client().post(PAIR, {"code": code})
    assert (again.status_code, again.json()["code"]) == (403, "kiosk_unknown")
    assert "kiosk_token" not in again.cookies


def test_a_code_is_too_old_after_ten_minutes(kiosk):
    now = timezone.now()
    code = new_pairing_code(kiosk, at=now)
    with pytest.raises(PairingRefusedError):
        pair_device(code, at=now + CODE_VALID)
    assert pair_device(code, at=now + CODE_VALID * 0.99)[0] == kiosk


def test_a_new_code_takes_the_place_of_the_one_that_waits(kiosk, code):
    newer = new_pairing_code(kiosk, at=timezone.now())
    with pytest.raises(PairingRefusedError):
        pair_device(code, at=timezone.now())
    assert pair_device(newer, at=timezone.now())[0] == kiosk


@pytest.mark.parametrize("end", [revoke_kiosk, issue_kiosk_token])
def test_a_code_ends_with_a_revocation_and_with_another_token(kiosk, code, end):
    end(kiosk)
    with pytest.raises(PairingRefusedError):
        pair_device(code, at=timezone.now())


def test_a_code_lets_a_revoked_kiosk_in_again(kiosk, token):
    revoke_kiosk(kiosk)
    found, new = pair_device(new_pairing_code(kiosk, at=timezone.now()), at=timezone.now())
    assert found == kiosk
    assert kiosk_with_token(new).revoked_at is None


@pytest.mark.parametrize("typed", [str.lower, as_shown, lambda code: f" {code[:4]} {code[4:]} "])
def test_a_code_is_read_as_people_type_it(kiosk, code, typed):
    assert pair_device(typed(code), at=timezone.now())[0] == kiosk


def test_signs_that_look_alike_are_taken_for_each_other(monkeypatch, kiosk):
    monkeypatch.setattr("checkin.kiosks.pairing.secrets.choice", lambda alphabet: alphabet[1])
    assert new_pairing_code(kiosk, at=timezone.now()) == "11111111"
    assert pair_device("Il1lI1lI", at=timezone.now())[0] == kiosk


def test_only_a_keyed_hash_of_a_code_is_stored(settings, kiosk, code):
    stored = PairingCode.objects.get()
    assert code not in map(str, PairingCode.objects.values().get().values())
    settings.SECRET_KEY = "another key"
    with pytest.raises(PairingRefusedError):
        pair_device(code, at=timezone.now())
    assert len(stored.code_hash) == 64


def test_codes_are_not_logged(client, kiosk, code, caplog):
    client.post(PAIR, {"code": code})
    client.post(PAIR, {"code": code})
    assert f"a device was paired with kiosk {kiosk.pk}" in caplog.text
    assert "no kiosk waits" in caplog.text
    assert code not in caplog.text


def test_guessing_is_stopped_by_the_address_and_others_may_go_on(settings, client, kiosk, code):
    tries = 30
    for _number in range(tries):
        assert client.post(PAIR, {"code": "0000-0000"}).status_code == 403
    refused = client.post(PAIR, {"code": code})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
    elsewhere = client.post(PAIR, {"code": code}, REMOTE_ADDR="192.0.2.7")
    assert elsewhere.status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_many_devices_with_one_code_one_is_paired(kiosk, code):
    start, answers = threading.Barrier(6), []

    def pair() -> None:
        start.wait()
        answers.append(Client().post(PAIR, {"code": code}))

    threads = [threading.Thread(target=_closing(pair)) for _number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 403, 403, 403, 403, 403]
    paired = next(answer for answer in answers if answer.status_code == 200)
    assert kiosk_with_token(paired.cookies["kiosk_token"].value) == kiosk


def _closing(work):
    def and_close() -> None:
        try:
            work()
        finally:
            connection.close()

    return and_close


def test_codes_that_ran_out_are_deleted(kiosk):
    now = timezone.now()
    new_pairing_code(kiosk, at=now - CODE_VALID)
    assert purge(now)["pairing codes of kiosks, after they ran out"] == 1
    assert PairingCode.objects.count() == 0


# The code at the desk


def test_adding_a_kiosk_shows_a_code_as_text_and_as_a_symbol(as_admin, room_101):
    answer = as_admin.post(reverse("admin:checkin_kiosk_add"), {"name": "D", "room": room_101.pk})
    code = answer.context["code"]
    assert code in answer.text
    assert "no-store" in answer.headers["Cache-Control"]
    assert pair_device(code, at=timezone.now())[0] == Kiosk.objects.get()


def test_the_symbol_holds_the_address_with_the_code(as_admin, kiosk):
    answer = as_admin.post(KIOSKS, {"action": "make_pairing_code", "_selected_action": [kiosk.pk]})
    code = answer.context["code"].replace("-", "")
    assert read_code(drawn(answer.context["qr"])) == f"http://testserver{PAIR}#{code}"
    assert "style=" not in answer.context["qr"]


def test_making_a_code_leaves_the_running_kiosk_in(as_admin, kiosk, token):
    as_admin.post(KIOSKS, {"action": "make_pairing_code", "_selected_action": [kiosk.pk]})
    assert kiosk_with_token(token) == kiosk


def test_a_code_is_made_for_one_kiosk(as_admin, kiosk, room_101):
    other = Kiosk.objects.create(name="Other", room=room_101)
    posted = {"action": "make_pairing_code", "_selected_action": [kiosk.pk, other.pk]}
    assert "Choose one kiosk" in as_admin.post(KIOSKS, posted, follow=True).text
    assert PairingCode.objects.count() == 0


def drawn(svg: str) -> Image:
    """The pixels of a symbol: its path is of horizontal lines, a module high."""
    side = int(re.search(r'viewBox="0 0 (\d+)', svg)[1])
    modules = np.full((side, side), 255, np.uint8)
    path = re.findall(r'd="([^"]+)"', svg)[-1]
    column = row = 0.0
    for command, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        values = [float(value) for value in numbers.split()]
        if command == "M":
            column, row = values
        elif command == "m":
            column, row = column + values[0], row + values[1]
        else:
            modules[int(row - 0.5), int(column) : int(column + values[0])] = 0
            column += values[0]
    return np.repeat(modules.repeat(8, 0).repeat(8, 1)[..., None], 3, 2)

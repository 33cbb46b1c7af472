"""A kiosk's token is shown once, stored as a hash, and can be ended."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.urls import reverse
from django.utils import timezone

from checkin.models import Kiosk
from checkin.selectors import kiosk_with_token, open_sessions_for, opened_by
from checkin.services import (
    KioskRefusedError,
    hash_token,
    issue_kiosk_token,
    revoke_kiosk,
    roll_kiosk_token,
)
from tests.support.school import a_session, utc

KIOSKS = reverse("admin:checkin_kiosk_changelist")
ADD = reverse("admin:checkin_kiosk_add")


def test_only_the_hash_of_a_token_is_stored(kiosk):
    token = issue_kiosk_token(kiosk)
    stored = Kiosk.objects.values().get()
    assert token not in map(str, stored.values())
    assert stored["token_hash"] == hashlib.sha256(token.encode()).hexdigest()


def test_a_token_is_long_marked_and_new_each_time(kiosk):
    one, other = issue_kiosk_token(kiosk), issue_kiosk_token(kiosk)
    assert one.startswith("rck_")
    assert len(one) > 40
    assert one != other


def test_a_token_finds_its_kiosk(kiosk, token):
    assert kiosk_with_token(token) == kiosk
    assert kiosk_with_token(token + "x") is None
    assert kiosk_with_token("") is None


def test_a_new_token_ends_the_old_one(kiosk):
    old = issue_kiosk_token(kiosk)
    new = issue_kiosk_token(kiosk)
    assert kiosk_with_token(old) is None
    assert kiosk_with_token(new) == kiosk


def test_a_revoked_kiosk_is_still_told_apart_from_an_unknown_one(kiosk, token):
    revoke_kiosk(kiosk)
    found = kiosk_with_token(token)
    assert found is not None
    assert found.revoked_at is not None


def test_a_new_token_lets_a_revoked_kiosk_in_again(kiosk):
    revoke_kiosk(kiosk)
    found = kiosk_with_token(issue_kiosk_token(kiosk))
    assert found is not None
    assert found.revoked_at is None


def test_many_kiosks_have_no_token_yet_and_none_opens_them(room_101, kiosk):
    Kiosk.objects.create(name="Spare", room=room_101)
    assert Kiosk.objects.filter(token_hash=None).count() == 2
    assert kiosk_with_token("") is None


def test_a_kiosks_name_is_used_once(kiosk):
    with pytest.raises(IntegrityError):
        Kiosk.objects.create(name=kiosk.name)


# What it serves


def test_a_kiosk_serves_the_session_in_its_room(kiosk, math_session, chem_session):
    assert open_sessions_for(kiosk, math_session.starts_at) == [math_session]


def test_a_kiosk_serves_its_courses_wherever_they_meet(kiosk, chem, math_session, chem_session):
    kiosk.courses.add(chem)
    at = chem_session.starts_at
    assert set(open_sessions_for(kiosk, at)) == {math_session, chem_session}


def test_a_session_in_the_room_and_of_the_course_is_served_once(kiosk, math, math_session):
    kiosk.courses.add(math)
    assert open_sessions_for(kiosk, math_session.starts_at) == [math_session]


def test_a_kiosk_without_a_room_serves_no_session_without_a_room(math):
    kiosk = Kiosk.objects.create(name="Nowhere")
    session = a_session(math, starts_at=utc(2026, 3, 2, 9))
    assert open_sessions_for(kiosk, session.starts_at) == []


# At the desk


def test_a_new_token_is_shown_in_the_answer(as_admin, kiosk):
    answer = as_admin.post(KIOSKS, {"action": "renew_token", "_selected_action": [kiosk.pk]})
    token = answer.context["token"]
    assert kiosk_with_token(token) == kiosk
    assert answer.text.count(token) == 3
    assert f"http://testserver/kiosk/#{token}" in answer.text
    assert "no-store" in answer.headers["Cache-Control"]


def test_the_token_is_never_shown_again(as_admin, kiosk):
    posted = {"action": "renew_token", "_selected_action": [kiosk.pk]}
    token = as_admin.post(KIOSKS, posted).context["token"]
    kiosk.refresh_from_db()
    for page in (
        KIOSKS,
        reverse("admin:checkin_kiosk_change", args=[kiosk.pk]),
        reverse("admin:checkin_kiosk_history", args=[kiosk.pk]),
        reverse("admin:index"),
    ):
        shown = as_admin.get(page).text
        assert token not in shown
        assert str(kiosk.token_hash) not in shown


def test_a_kiosk_needs_a_room_or_a_course(as_admin):
    answer = as_admin.post(ADD, {"name": "Door"})
    assert "Choose a room or at least one course" in answer.text
    assert Kiosk.objects.count() == 0


def test_the_action_gives_a_new_token(as_admin, kiosk, token):
    answer = as_admin.post(KIOSKS, {"action": "renew_token", "_selected_action": [kiosk.pk]})
    assert kiosk_with_token(token) is None
    assert kiosk_with_token(answer.context["token"]) == kiosk


def test_tokens_are_renewed_one_by_one(as_admin, room_101, kiosk, token):
    other = Kiosk.objects.create(name="Other", room=room_101)
    answer = as_admin.post(
        KIOSKS,
        {"action": "renew_token", "_selected_action": [kiosk.pk, other.pk]},
        follow=True,
    )
    assert "Choose one kiosk: a token or a code is shown once." in answer.text
    assert kiosk_with_token(token) == kiosk


def test_the_action_revokes(as_admin, kiosk, token):
    as_admin.post(KIOSKS, {"action": "revoke", "_selected_action": [kiosk.pk]})
    kiosk.refresh_from_db()
    assert kiosk.revoked_at is not None


def test_changing_a_kiosk_keeps_its_token(as_admin, room_101, kiosk, token):
    address = reverse("admin:checkin_kiosk_change", args=[kiosk.pk])
    as_admin.post(address, {"name": "Renamed", "room": room_101.pk})
    found = kiosk_with_token(token)
    assert found is not None
    assert found.name == "Renamed"


def test_a_lecturer_gets_no_kiosks(as_alice, kiosk):
    assert as_alice.get(KIOSKS).status_code == 403
    assert as_alice.get(ADD).status_code == 403


# A token is rolled while the kiosk runs


def test_after_a_roll_both_tokens_open_for_a_while(settings, kiosk, token):
    settings.KIOSK_TOKEN_GRACE_HOURS = 2
    now = timezone.now()
    new = roll_kiosk_token(kiosk, now)
    assert kiosk_with_token(new) == kiosk == kiosk_with_token(token)
    still = opened_by(hash_token(token), now + timedelta(hours=1, minutes=59))
    no_longer = opened_by(hash_token(token), now + timedelta(hours=2))
    assert Kiosk.objects.filter(still).exists()
    assert not Kiosk.objects.filter(no_longer).exists()


def test_of_two_rolls_the_last_two_tokens_open(kiosk, token):
    second = roll_kiosk_token(kiosk, timezone.now())
    third = roll_kiosk_token(kiosk, timezone.now())
    assert kiosk_with_token(token) is None
    assert kiosk_with_token(second) == kiosk == kiosk_with_token(third)


@pytest.mark.parametrize("end", [revoke_kiosk, issue_kiosk_token])
def test_revoking_or_renewing_ends_the_old_token_too(kiosk, token, end):
    rolled = roll_kiosk_token(kiosk, timezone.now())
    end(kiosk)
    for ended in (token, rolled):
        found = kiosk_with_token(ended)
        assert found is None or found.revoked_at is not None
    kiosk.refresh_from_db()
    assert (kiosk.old_token_hash, kiosk.old_token_until) == (None, None)


def test_what_has_no_token_or_is_revoked_is_not_rolled(kiosk):
    with pytest.raises(KioskRefusedError, match="Pair it"):
        roll_kiosk_token(kiosk, timezone.now())
    issue_kiosk_token(kiosk)
    revoke_kiosk(kiosk)
    with pytest.raises(KioskRefusedError, match="Pair it"):
        roll_kiosk_token(kiosk, timezone.now())


def test_the_action_rolls_and_says_until_when(as_admin, kiosk, token):
    answer = as_admin.post(KIOSKS, {"action": "roll_token", "_selected_action": [kiosk.pk]})
    assert kiosk_with_token(answer.context["token"]) == kiosk == kiosk_with_token(token)
    assert "The token before it opens until" in answer.text


def test_the_action_says_what_cannot_be_rolled(as_admin, kiosk):
    posted = {"action": "roll_token", "_selected_action": [kiosk.pk]}
    assert "Pair it" in as_admin.post(KIOSKS, posted, follow=True).text


def test_what_is_done_to_a_kiosk_is_in_its_history_without_secrets(as_admin, kiosk, token):
    shown = []
    for action in ("make_pairing_code", "roll_token", "renew_token", "revoke"):
        answer = as_admin.post(KIOSKS, {"action": action, "_selected_action": [kiosk.pk]})
        context = answer.context or {}
        shown += [context[name] for name in ("code", "token") if name in context]
    history = as_admin.get(reverse("admin:checkin_kiosk_history", args=[kiosk.pk])).text
    assert history.count("Changed") >= 4
    assert len(shown) == 3
    assert not any(secret in history for secret in shown)

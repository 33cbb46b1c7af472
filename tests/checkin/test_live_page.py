"""The live page: who may see it, what it shows, and how it hears of changes."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from channels.db import database_sync_to_async as in_database
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.roles import REGISTRAR
from checkin.live import consumer as live_consumer
from checkin.live.events import announce, announce_after_commit
from checkin.live.selectors import snapshot_of, viewer_of
from checkin.marking import key_of, mark, state_of
from checkin.models import Attendance, AttendanceChange, Kiosk, Outcome
from tests.support.kiosk_client import KioskClient
from tests.support.live_client import LiveClient
from tests.support.school import (
    a_member,
    a_session,
    a_student,
    an_attempt,
    an_attendance,
    cookie_with_second_factor,
    enrol_in,
    logged_in_cookie,
)

NOTHING = key_of(None)


def page_of(session, page="live", *more):
    name = "checkin_attendance_live" if page == "live" else f"checkin_attendance_live_{page}"
    return reverse(f"admin:{name}", args=[session.pk, *more])


def seen(user, session, at=None):
    viewer = viewer_of(user, session.pk)
    assert viewer is not None
    return snapshot_of(viewer, at or timezone.now())


def mark_present(session, student, by):
    return mark(
        session=session,
        student=student,
        status="present",
        by=by,
        reason="",
        at=timezone.now(),
        shown=NOTHING,
    )


# What it shows


def test_counts_say_who_came_and_who_is_missing(math, math_session, alice):
    students = [a_student(f"S-{number}", f"Student {number}", math) for number in range(6)]
    for student, status in zip(students, ["present", "present", "late"], strict=False):
        an_attendance(math_session, student, status=status)
    for student, status in zip(students[3:], ["excused", "absent"], strict=False):
        an_attendance(math_session, student, status=status, arrived_at=None)
    assert seen(alice, math_session).counts == {
        "expected": 6,
        "present": 2,
        "late": 1,
        "excused": 1,
        "missing": 2,
    }


def test_who_came_last_stands_first(math, math_session, alice):
    for number in range(10):
        student = a_student(f"S-{number}", f"Student {number}", math)
        arrived_at = math_session.starts_at + timedelta(seconds=number)
        an_attendance(math_session, student, arrived_at=arrived_at)
    latest = [line.name for line in seen(alice, math_session).latest]
    assert latest == [f"Student {number}" for number in range(9, 1, -1)]


def test_who_came_without_being_on_the_list_is_shown_and_cannot_be_marked(
    math_session, eileen, dmitri, alice
):
    an_attendance(math_session, dmitri)
    first, second = seen(alice, math_session).lines
    assert (first.student, first.may_mark) == (eileen.pk, True)
    assert (second.student, second.may_mark) == (dmitri.pk, False)
    assert second.note == "not on the class list"


def test_refusals_have_a_reason_and_never_a_name(math_session, eileen, alice, kiosk):
    an_attempt(kiosk, math_session, outcome=Outcome.SPOOF, reason="no_blink")
    an_attempt(kiosk, math_session, outcome=Outcome.AMBIGUOUS, student=eileen)
    an_attempt(kiosk, None, outcome=Outcome.NOT_ENROLLED)
    an_attempt(kiosk, math_session, outcome=Outcome.PRESENT, student=eileen)
    refusals = seen(alice, math_session).refusals
    assert [refused.why for refused in refusals] == [
        "Known, but not on this class list.",
        "Like two people in this class.",
        "Did not blink when asked.",
    ]
    assert "Eileen" not in str(refusals)


def test_refusals_of_other_kiosks_and_other_times_are_not_shown(
    math_session, chem_session, alice, kiosk, room_102
):
    elsewhere = Kiosk.objects.create(name="Door of 102", room=room_102)
    an_attempt(elsewhere, None)
    an_attempt(elsewhere, chem_session)
    an_attempt(kiosk, None, at=math_session.opens_at - timedelta(seconds=1))
    an_attempt(kiosk, None, at=math_session.ends_at)
    assert seen(alice, math_session).refusals == ()


def test_the_number_of_queries_does_not_grow_with_the_class(
    math, math_session, alice, kiosk, django_assert_max_num_queries
):
    for number in range(60):
        student = a_student(f"S-{number}", f"Student {number}", math)
        if number % 3 == 0:
            an_attendance(math_session, student, kiosk=kiosk)
        elif number % 3 == 1:
            mark_present(math_session, student, alice)
    with django_assert_max_num_queries(8):
        assert len(seen(alice, math_session).lines) == 60


def test_the_page_says_who_changed_what_and_why(math_session, eileen, alice, as_alice):
    an_attendance(math_session, eileen)
    shown = key_of(state_of(Attendance.objects.get()))
    fields = {"status": "excused", "reason": "Called <at home>", "shown": shown}
    address = page_of(math_session, "student", eileen.pk)
    answer = as_alice.post(address, fields, follow=True)
    assert answer.redirect_chain == [(page_of(math_session), 302)]
    assert "Alice: Called &lt;at home&gt;" in answer.text
    history = as_alice.get(address).text
    assert "Called &lt;at home&gt;" in history
    assert "present" in history


def test_a_locked_session_is_shown_and_cannot_be_marked(math, math_session, eileen, as_alice):
    math.locks_after_days = 1
    math.save()
    math_session.starts_at -= timedelta(days=2)
    math_session.ends_at -= timedelta(days=2)
    math_session.save()
    page = as_alice.get(page_of(math_session)).content.decode()
    assert "records locked" in page
    assert "Eileen" in page
    form = {"status": "present", "shown": NOTHING}
    answer = as_alice.post(page_of(math_session, "student", eileen.pk), form, follow=True)
    assert "locks them 1 day after" in answer.content.decode()
    assert not Attendance.objects.exists()


# By forms alone


def test_a_student_is_marked_and_the_mark_undone_without_a_script(math_session, eileen, as_alice):
    back = f"{page_of(math_session)}?only=missing&view=grid&q=ei"
    address = page_of(math_session, "student", eileen.pk)
    marked = as_alice.post(address, {"status": "present", "shown": NOTHING, "back": back})
    assert marked.headers["location"] == back
    change = AttendanceChange.objects.get()
    undone = as_alice.post(page_of(math_session, "undo"), {"change": change.pk})
    assert undone.headers["location"] == page_of(math_session)
    assert not Attendance.objects.exists()


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/accounts/logout/"])
def test_a_form_leads_back_to_the_live_page_only(math_session, eileen, as_alice, back):
    address = page_of(math_session, "student", eileen.pk)
    marked = as_alice.post(address, {"status": "present", "shown": NOTHING, "back": back})
    assert marked.headers["location"] == page_of(math_session)


def test_a_stale_mark_is_answered_with_the_present_state(math_session, eileen, as_alice):
    an_attendance(math_session, eileen, status="late")
    address = page_of(math_session, "student", eileen.pk)
    fields = {"status": "absent", "reason": "Not seen", "shown": NOTHING}
    assert "is “late” by now" in as_alice.post(address, fields, follow=True).text
    answer = as_alice.post(address, fields, headers={"accept": "application/json"})
    assert answer.status_code == 409
    assert "is “late” by now" in answer.json()["message"]


def test_the_page_narrows_to_what_the_address_asks_for(math, math_session, eileen, as_alice):
    frank = a_student("S-9", "Frank Borman", math)
    an_attendance(math_session, frank)
    for query, hidden in (
        ({"only": "missing"}, {frank.pk}),
        ({"q": "BORM"}, {eileen.pk}),
        ({"q": "s-1"}, {frank.pk}),
        ({"only": "late"}, {eileen.pk, frank.pk}),
        ({"only": "nonsense", "view": "nonsense"}, set()),
    ):
        assert as_alice.get(page_of(math_session), query).context["hidden"] == hidden


def test_a_class_list_of_nobody_has_a_page(math_session, as_alice):
    assert "The class list of this day is empty" in as_alice.get(page_of(math_session)).text


@pytest.mark.parametrize("change", ["", "x", "²", "-1", "9" * 30])
def test_undoing_what_is_not_there_is_not_found(math_session, as_alice, change):
    assert as_alice.post(page_of(math_session, "undo"), {"change": change}).status_code == 404


# Who may


def test_a_lecturer_cannot_open_or_mark_the_session_of_another(chem_session, dmitri, as_alice):
    student_page = page_of(chem_session, "student", dmitri.pk)
    assert as_alice.get(page_of(chem_session)).status_code == 404
    assert as_alice.get(student_page).status_code == 404
    fields = {"status": "present", "shown": NOTHING}
    assert as_alice.post(student_page, fields).status_code == 404
    assert not Attendance.objects.exists()


def test_a_change_is_not_undone_through_the_page_of_another_session(
    math, math_session, eileen, alice, as_alice
):
    mark_present(math_session, eileen, alice)
    other = page_of(a_session(math), "undo")
    change = AttendanceChange.objects.get()
    assert as_alice.post(other, {"change": change.pk}).status_code == 404
    assert Attendance.objects.exists()


def test_a_student_of_another_class_has_no_page_in_this_session(
    math, math_session, dmitri, as_alice
):
    assert as_alice.get(page_of(math_session, "student", dmitri.pk)).status_code == 404


def test_a_registrar_reads_and_neither_marks_nor_sees_refusals_and_reasons(
    math_session, eileen, alice, kiosk, client
):
    mark_present(math_session, eileen, alice)
    an_attempt(kiosk, math_session)
    client.force_login(a_member(REGISTRAR, "registrar"))
    page = client.get(page_of(math_session))
    assert "Eileen Collins" in page.text
    assert "Refused at the kiosk" not in page.text
    assert 'method="post" action="/admin/checkin' not in page.text
    snapshot = page.context["snapshot"]
    assert (snapshot.refusals, snapshot.lines[0].note, snapshot.lines[0].undo) == ((), "", None)
    change = AttendanceChange.objects.get()
    student_page = page_of(math_session, "student", eileen.pk)
    assert client.post(student_page, {"status": "late", "reason": "x"}).status_code == 403
    undo_page = page_of(math_session, "undo")
    assert client.post(undo_page, {"change": change.pk}).status_code == 403


def test_a_mark_needs_a_token_of_our_own_form(math_session, eileen, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    address = page_of(math_session, "student", eileen.pk)
    assert client.post(address, {"status": "present", "shown": NOTHING}).status_code == 403
    assert not Attendance.objects.exists()


# The socket


@pytest.fixture
def cookie(alice):
    return logged_in_cookie(alice)


@pytest.fixture
def no_rereading(monkeypatch):
    """The page hears of changes by the word alone."""
    monkeypatch.setattr(live_consumer, "REREAD_S", 60)


pytestmark_socket = pytest.mark.django_db(transaction=True)


@pytestmark_socket
async def test_the_socket_tells_the_whole_then_what_changed(
    no_rereading, math, math_session, eileen, alice, cookie
):
    frank = await in_database(a_student)("S-9", "Frank Borman", math)
    async with LiveClient(math_session, cookie) as page:
        whole = await page.until("snapshot")
        assert [line["name"] for line in whole["lines"]] == ["Eileen Collins", "Frank Borman"]
        assert (whole["version"], whole["counts"]["missing"]) == (1, 2)
        await in_database(mark_present)(math_session, eileen, alice)
        update = await page.until("update")
    assert [line["student"] for line in update["lines"]] == [eileen.pk]
    assert update["version"] == 2
    assert update["lines"][0]["status"] == "present"
    assert update["counts"]["missing"] == 1
    assert update["latest"] == [eileen.pk]
    assert update["gone"] == []
    assert "refusals" not in update
    assert frank.pk not in update["latest"]


@pytestmark_socket
async def test_two_pages_see_the_same_mark(no_rereading, math_session, eileen, alice, admin):
    hers, theirs = [await in_database(logged_in_cookie)(user) for user in (alice, admin)]
    async with LiveClient(math_session, hers) as one, LiveClient(math_session, theirs) as other:
        await one.until("snapshot")
        await other.until("snapshot")
        await in_database(mark_present)(math_session, eileen, alice)
        for page in (one, other):
            assert (await page.until("update"))["lines"][0]["status"] == "present"


@pytestmark_socket
async def test_what_happens_while_the_page_is_read_is_not_missed(
    no_rereading, monkeypatch, math_session, eileen, alice, cookie
):
    """Between reading and telling somebody comes: the word of it is heard already."""
    read, marked = live_consumer._read, []

    def read_then_somebody_comes(key, session_pk):
        snapshot = read(key, session_pk)
        if not marked:
            marked.append(mark_present(math_session, eileen, alice))
        return snapshot

    monkeypatch.setattr(live_consumer, "_read", read_then_somebody_comes)
    async with LiveClient(math_session, cookie) as page:
        assert (await page.until("snapshot"))["counts"]["present"] == 0
        assert (await page.until("update"))["counts"]["present"] == 1


@pytestmark_socket
async def test_a_change_without_a_word_is_found_too(
    monkeypatch, math_session, eileen, alice, cookie
):
    monkeypatch.setattr(live_consumer, "REREAD_S", 0.1)
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        await in_database(an_attendance)(math_session, eileen)
        assert (await page.until("update"))["counts"]["present"] == 1


@pytestmark_socket
async def test_a_word_without_a_change_tells_nothing(no_rereading, math_session, eileen, cookie):
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        await announce([math_session.pk])
        assert await page.says_nothing()


@pytestmark_socket
async def test_a_kiosks_arrival_and_its_refusals_reach_the_page(
    no_rereading, quick, math_session, eileen, eileens_template, eileen_at_the_door, token, cookie
):
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        async with KioskClient(token) as kiosk:
            await kiosk.until("sessions")
            verdict = await kiosk.verdict_on(eileen_at_the_door.blinks_when_asked)
            assert verdict["outcome"] == "present"
            update = await page.until("update")
            assert update["lines"][0]["detail"].endswith("Door of 101")


@pytestmark_socket
async def test_a_refusal_at_the_kiosk_reaches_the_page(
    no_rereading, impatient, math_session, eileen_at_the_door, token, cookie
):
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        async with KioskClient(token) as kiosk:
            await kiosk.until("sessions")
            verdict = await kiosk.verdict_on(eileen_at_the_door.looks)
            assert verdict["outcome"] == "spoof"
            update = await page.until("update")
    assert update["refusals"][0]["why"] == "Did not blink when asked."


@pytestmark_socket
async def test_a_foreign_lecturer_is_refused(math_session, charlie):
    cookie = await in_database(logged_in_cookie)(charlie)
    async with LiveClient(math_session, cookie) as page:
        assert await page.closing() == ("not_yours", 4403)


@pytestmark_socket
@pytest.mark.parametrize("cookie", ["", "nonsense", "a" * 32])
async def test_who_is_not_logged_in_is_refused(math_session, cookie):
    async with LiveClient(math_session, cookie) as page:
        assert await page.closing() == ("logged_out", 4401)


@pytestmark_socket
async def test_the_page_of_another_site_is_refused(math_session, cookie):
    async with LiveClient(math_session, cookie, origin="https://evil.example") as page:
        assert await page.closing() == ("origin_refused", 4403)


@pytestmark_socket
async def test_in_production_staff_need_a_second_factor(settings, math_session, alice, cookie):
    settings.STAFF_SECOND_FACTOR = True
    async with LiveClient(math_session, cookie) as page:
        assert await page.closing() == ("second_factor", 4403)


@pytestmark_socket
@pytest.mark.parametrize(("shown", "first"), [(False, "error"), (True, "snapshot")])
async def test_a_second_factor_counts_once_it_was_shown(
    settings, math_session, alice, shown, first
):
    settings.STAFF_SECOND_FACTOR = True
    cookie = await in_database(cookie_with_second_factor)(alice, shown=shown)
    async with LiveClient(math_session, cookie) as page:
        assert (await page.receive())["type"] == first


@pytestmark_socket
@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda alice, math: SessionStore(alice.cookie).delete(), "logged_out"),
        (lambda alice, math: type(alice).objects.update(is_active=False), "logged_out"),
        (lambda alice, math: math.lecturers.clear(), "not_yours"),
        (lambda alice, math: alice.groups.clear(), "not_yours"),
    ],
    ids=["logged out", "switched off", "no longer teaches", "no longer a lecturer"],
)
async def test_an_open_page_ends_with_the_right_to_see_it(
    monkeypatch, math, math_session, alice, cookie, end, code
):
    monkeypatch.setattr(live_consumer, "REREAD_S", 0.1)
    alice.cookie = cookie
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        await in_database(end)(alice, math)
        assert (await page.closing())[0] == code


@pytestmark_socket
async def test_what_is_no_ping_is_answered_or_ends_the_line(math_session, cookie):
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        await page.send_text('{"type": "ping"}')
        await page.until("pong")
        await page.send_text("{")
        assert (await page.until("error"))["code"] == "unknown_message"
        await page.send_text(json.dumps({"type": "x" * 2000}))
        assert await page.closing() == ("too_large", 1009)


@pytestmark_socket
async def test_frames_are_not_taken(math_session, cookie):
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        await page.send_bytes(b"\xff" * 20)
        assert await page.closing() == ("too_large", 1009)


@pytestmark_socket
async def test_who_leaves_the_class_list_leaves_the_page(
    monkeypatch, math, math_session, eileen, dmitri, cookie
):
    monkeypatch.setattr(live_consumer, "REREAD_S", 0.1)
    enrolment = await in_database(enrol_in)(math, dmitri)
    async with LiveClient(math_session, cookie) as page:
        await page.until("snapshot")
        await in_database(enrolment.delete)()
        update = await page.until("update")
    assert update["gone"] == [dmitri.pk]
    assert update["counts"]["expected"] == 1


def test_words_of_change_go_out_after_the_commit_only(
    math_session, eileen, alice, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks() as waiting:
        mark_present(math_session, eileen, alice)
    words = [
        told for told in waiting if told.__qualname__.startswith(announce_after_commit.__name__)
    ]
    assert len(words) == 1

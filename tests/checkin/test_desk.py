"""The desk's entry page: the numbers are right, lead to their lists and are nobody else's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from html import unescape

import pytest
from django.contrib import admin as django_admin
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from accounts.roles import REGISTRAR
from checkin import desk
from checkin.models import Kiosk, Outcome
from recognition.models import Consent, FaceRegistration, Resemblance
from roster.models import ClassSession, Course, RosterClaim, Student
from tests.support.face_samples import an_embedding
from tests.support.school import (
    MODEL_ID,
    a_consent,
    a_course,
    a_lecturer,
    a_session,
    a_student,
    a_template,
    an_attempt,
    an_attendance,
    enrol_in,
    utc,
)

INDEX = "/admin/"
ATTENDANCE = "/admin/checkin/attendance/"
HOUR = timedelta(hours=1)
STATES = ("ready", "waiting", "re_enrol", "no_photo", "declined", "no_consent")


def a_registration(student: Student, *, waits_hours: int = 1, **fields: object) -> FaceRegistration:
    return FaceRegistration.objects.create(
        student=student,
        **{
            "status": FaceRegistration.Status.PENDING,
            "submitted_at": timezone.now() - waits_hours * HOUR,
            **fields,
        },
    )


def a_claim(student: Student, username: str, **fields: object) -> RosterClaim:
    return RosterClaim.objects.create(
        user=User.objects.create_user(username), student=student, **fields
    )


def a_class(course: Course, size: int) -> list[Student]:
    return [a_student(f"{course.code}-{n}", f"Student {n}", course) for n in range(size)]


# What waits


def test_waiting_registrations_come_oldest_first_and_doubles_are_marked(alice, math, chem):
    new, old, double, draft = a_class(math, 4)
    a_registration(new, waits_hours=1)
    a_registration(old, waits_hours=72)
    a_registration(double, waits_hours=24)
    a_registration(draft, status=FaceRegistration.Status.DRAFT)
    a_registration(a_student("S-9", "Elsewhere", chem))
    Resemblance.objects.create(student=double, other=new, similarity=0.98, kind="same_face")
    Resemblance.objects.create(student=old, other=new, similarity=0.95, kind="look_alike")

    waiting = desk.waiting_registrations(alice)

    assert (waiting.count, waiting.same_face) == (3, 1)
    assert [row.student for row in waiting.oldest] == [old, double, new]
    assert [row.is_double for row in waiting.oldest] == [False, True, False]


def test_only_claims_to_own_students_wait(alice, eileen, dmitri):
    own = a_claim(eileen, "claimant")
    a_claim(dmitri, "stranger")
    a_claim(eileen, "late", status="rejected", decided_at=timezone.now())
    assert list(desk.waiting_claims(alice)) == [own]


# Sessions


def test_todays_sessions_are_told_apart_and_counted(alice, math):
    noon = utc(2026, 3, 2, 12)
    first, second, third = a_class(math, 3)
    left = a_student("S-8", "Has left")
    enrol_in(math, left, left_on=date(2026, 3, 2))
    done = a_session(math, starts_at=noon - 4 * HOUR, ends_at=noon - 3 * HOUR)
    open_now = a_session(math, starts_at=noon - HOUR)
    following = a_session(math, starts_at=noon + 2 * HOUR)
    later = a_session(math, starts_at=noon + 5 * HOUR)
    a_session(math, starts_at=noon + 24 * HOUR)
    an_attendance(open_now, first)
    an_attendance(open_now, second, status="late")
    an_attendance(open_now, third, status="excused", arrived_at=None)

    today = desk.sessions_today(alice, at=noon)

    assert [(row.session, row.state) for row in today] == [
        (done, "done"),
        (open_now, "open"),
        (following, "next"),
        (later, "later"),
    ]
    assert [(row.present, row.late, row.expected) for row in today] == [
        (0, 0, 3),
        (1, 1, 3),
        (0, 0, 3),
        (0, 0, 3),
    ]


def test_a_session_belongs_to_the_day_of_its_course(alice):
    shanghai = a_course("HIST", alice, timezone="Asia/Shanghai")
    at_half_past_eleven = utc(2026, 3, 2, 15, 30)  # 23:30 on the 2nd in Shanghai
    session = a_session(shanghai, starts_at=at_half_past_eleven, ends_at=utc(2026, 3, 2, 15, 50))

    def shown(at: datetime) -> list[ClassSession]:
        return [row.session for row in desk.sessions_today(alice, at=at)]

    assert shown(utc(2026, 3, 1, 15, 59)) == []  # 23:59 on the 1st there
    assert shown(utc(2026, 3, 1, 16, 0)) == [session]  # midnight there
    assert shown(utc(2026, 3, 2, 15, 59)) == [session]
    assert shown(utc(2026, 3, 2, 16, 0)) == []  # the 3rd there, still the 2nd in UTC
    [figures] = desk.sessions_today(alice, at=at_half_past_eleven)
    assert figures.hours == "23:30–23:50 (Asia/Shanghai)"


def test_a_session_over_midnight_stays_until_it_ends(alice, math):
    session = a_session(math, starts_at=utc(2026, 3, 2, 23), ends_at=utc(2026, 3, 3, 1))
    assert [row.session for row in desk.sessions_today(alice, at=utc(2026, 3, 3, 0, 30))] == [
        session
    ]
    assert desk.sessions_today(alice, at=utc(2026, 3, 3, 1, 30)) == []


def test_the_next_session_is_the_first_that_has_not_begun(alice, math, chem):
    now = timezone.now()
    a_session(math)
    a_session(chem, starts_at=now + HOUR)
    a_session(math, starts_at=now + 2 * HOUR, closed_at=now)
    a_session(math, starts_at=now + 50 * HOUR)
    nearest = a_session(math, starts_at=now + 40 * HOUR)
    assert desk.next_session(alice, at=now) == nearest


def test_attendance_is_summed_by_the_day_of_the_course(alice, math):
    shanghai = a_course("HIST", alice, timezone="Asia/Shanghai")
    one, two = a_class(math, 2)
    three = a_student("S-3", "Three", shanghai)
    morning = a_session(math, starts_at=utc(2026, 3, 2, 8))
    # 2:00 on the 3rd in Shanghai.
    night = a_session(shanghai, starts_at=utc(2026, 3, 2, 18))
    a_session(math, starts_at=utc(2026, 3, 20, 7), ends_at=utc(2026, 3, 20, 9))  # goes on
    a_session(math, starts_at=utc(2026, 2, 2, 8))  # too long ago
    an_attendance(morning, one)
    an_attendance(morning, two, status="late")
    an_attendance(night, three)

    days = desk.attendance_by_day(alice, at=utc(2026, 3, 20, 8))

    assert [(day.day, day.present, day.late, day.expected) for day in days] == [
        (date(2026, 3, 2), 1, 1, 2),
        (date(2026, 3, 3), 1, 0, 1),
    ]
    assert [day.session_pks for day in days] == [[morning.pk], [night.pk]]


def test_a_bar_holds_who_came_and_then_left_the_class(alice, math):
    student = a_student("S-3", "Three")
    enrol_in(math, student, left_on=date(2026, 3, 2))
    stays = a_student("S-4", "Four", math)
    session = a_session(math, starts_at=utc(2026, 3, 2, 8))
    an_attendance(session, student)
    an_attendance(session, stays)
    [day] = desk.attendance_by_day(alice, at=utc(2026, 3, 3))
    assert (day.expected, day.scale, day.missing, day.per_cent) == (1, 2, 0, 100)


# Who can be recognised


def test_coverage_counts_every_state_of_each_class(alice, math, chem):
    ready, waiting, old_model, no_photo, declined, _not_asked = a_class(math, 6)
    chem.lecturers.add(alice)
    enrol_in(chem, ready)
    enrol_in(chem, old_model)
    left = a_student("S-8", "Has left")
    enrol_in(math, left, left_on=date(2020, 2, 2))
    for student in (ready, left):
        a_template(student, an_embedding(1))
    a_consent(waiting)
    a_registration(waiting)
    a_template(old_model, an_embedding(2), model_id="another-model")
    a_consent(no_photo)
    Consent.objects.create(
        student=declined,
        policy_version="1",
        given_via="web",
        given_at=None,
        withdrawn_at=timezone.now(),
    )

    now = timezone.now()
    rows = {row.course: row.counts for row in desk.coverage(alice, at=now, model_id=MODEL_ID)}

    assert rows == {
        math: dict.fromkeys(
            ("ready", "waiting", "re_enrol", "no_photo", "declined", "no_consent"), 1
        ),
        chem: {"ready": 1, "re_enrol": 1},
    }
    assert desk.must_re_enrol(alice, at=now, model_id=MODEL_ID) == 1


def test_a_course_without_students_is_covered_by_nobody(alice, math):
    [row] = desk.coverage(alice, at=timezone.now(), model_id=MODEL_ID)
    assert (row.course, row.total, row.per_cent) == (math, 0, 0)


# What needs a look


def test_a_silent_kiosk_is_missed_only_where_a_session_is_open(
    math, math_session, room_101, room_102
):
    now = timezone.now()
    long_ago = now - 2 * desk.KIOSK_MISSED_AFTER
    silent = Kiosk.objects.create(name="A", room=room_101, last_seen_at=long_ago)
    of_course = Kiosk.objects.create(name="B", room=room_102)
    of_course.courses.add(math)
    Kiosk.objects.create(name="C", room=room_101, last_seen_at=now)
    Kiosk.objects.create(name="D", room=room_102, last_seen_at=long_ago)
    Kiosk.objects.create(name="E", room=room_101, last_seen_at=long_ago, revoked_at=now)

    missed = desk.missed_kiosks([math_session], at=now)

    assert [(row.kiosk, row.session) for row in missed] == [
        (silent, math_session),
        (of_course, math_session),
    ]
    assert desk.missed_kiosks([], at=now) == []


def test_refusals_are_told_when_they_repeat(kiosk, math_session, chem_session):
    for _attempt in range(desk.REPEATED[Outcome.SPOOF]):
        an_attempt(kiosk, math_session, outcome=Outcome.SPOOF)
    for _attempt in range(desk.REPEATED[Outcome.SPOOF] - 1):
        an_attempt(kiosk, chem_session, outcome=Outcome.SPOOF)
    for _attempt in range(desk.REPEATED[Outcome.UNKNOWN]):
        an_attempt(kiosk, math_session, outcome=Outcome.PRESENT)

    [refused] = desk.repeated_refusals([math_session, chem_session])

    assert (refused.course, refused.outcome) == (math_session.course, Outcome.SPOOF)
    assert refused.count == desk.REPEATED[Outcome.SPOOF]
    assert refused.session_pks == [math_session.pk]


# The page


@pytest.fixture
def busy_school(
    alice: User,
    math: Course,
    math_session: ClassSession,
    kiosk: Kiosk,
    chem: Course,
    dmitri: Student,
) -> list[Student]:
    """Everything that the page can tell, in MATH; Dmitri's registration waits in CHEM."""
    students = a_class(math, 12)
    for number, student in enumerate(students[:5]):
        a_template(student, an_embedding(number))
    a_template(students[5], an_embedding(5), model_id="another-model")
    for student in students[6:9]:
        a_consent(student)
        a_registration(student)
    a_claim(students[9], "claimant")
    yesterday = a_session(math, starts_at=timezone.now() - 26 * HOUR)
    for student in students[:7]:
        an_attendance(yesterday, student)
    an_attendance(yesterday, students[7], status="late")
    an_attendance(math_session, students[0])
    an_attendance(math_session, students[1], status="late")
    for _attempt in range(desk.REPEATED[Outcome.SPOOF]):
        an_attempt(kiosk, math_session, outcome=Outcome.SPOOF)
    a_registration(dmitri)
    return students


def numbers_with_lists(page: str) -> Iterator[tuple[int, str]]:
    for address, inner in re.findall(r'<a href="(/admin/[^"]*)">(.*?)</a>', page, re.DOTALL):
        number = re.match(r"\d+", re.sub(r"<[^>]*>", "", inner).strip())
        if number:
            yield int(number[0]), unescape(address)


def test_every_number_leads_to_a_list_of_so_many(as_alice, busy_school):
    found = list(numbers_with_lists(as_alice.get(INDEX).text))
    for number, address in found:
        rows = as_alice.get(address).context["cl"].queryset
        assert rows.count() == number, address
    # Registrations, a claim, refusals, re-enrolment; three figures of the session, two in the
    # table of the day; four states of the class, one of them shared by the rest.
    assert sorted(number for number, _address in found) == sorted(
        [3, 1, desk.REPEATED[Outcome.SPOOF], 1, 1, 1, 12, 7, 1, 5, 3, 1, 3]
    )


def test_days_of_the_chart_lead_to_their_attendance(as_alice, busy_school):
    [(address, label)] = re.findall(
        r'<a href="([^"]+)" aria-label="([^"]+)"', as_alice.get(INDEX).text.split('class="days"')[1]
    )[:1]
    assert "7 present, 1 late, 12 expected" in label
    assert as_alice.get(unescape(address)).context["cl"].queryset.count() == 8


def test_charlie_is_told_nothing_of_alices(client, charlie, busy_school):
    client.force_login(charlie)
    page = client.get(INDEX).text
    for hers in ("MATH", "Linear Algebra", "Student ", "Door of 101"):
        assert hers not in page
    assert "Dmitri" in page
    assert [number for number, _address in numbers_with_lists(page)] == [1, 1]


def test_an_open_session_that_knows_nobody_is_told(as_alice, math, math_session):
    a_class(math, 2)
    assert "MATH is open and nobody can be recognised" in as_alice.get(INDEX).text
    a_template(Student.objects.first(), an_embedding(1))
    assert "nobody can be recognised" not in as_alice.get(INDEX).text


def test_an_administrator_sees_every_course(as_admin, math, chem):
    page = as_admin.get(INDEX).text
    assert "MATH" in page
    assert "CHEM" in page


def test_a_registrar_sees_every_course_and_changes_no_record(client, math_session, chem_session):
    registrar = User.objects.create_user("registrar", is_staff=True)
    registrar.groups.add(Group.objects.get(name=REGISTRAR))
    client.force_login(registrar)
    page = client.get(INDEX).text
    assert "MATH" in page
    assert "CHEM" in page
    assert set(re.findall(r"/admin/([a-z/]+)/add/", page)) == {
        "integrations/exportprofile",
        "roster/periodlock",
    }


def test_nobody_is_told_the_number_of_what_they_may_not_open(client, busy_school, math):
    helper = User.objects.create_user("helper", is_staff=True)
    math.lecturers.add(helper)
    client.force_login(helper)
    page = client.get(INDEX).text
    assert list(numbers_with_lists(page)) == []
    assert "MATH" not in page
    assert "may open nothing here yet" in page


def test_an_empty_school_says_what_comes_first(as_admin):
    page = as_admin.get(INDEX).text
    assert "Nothing waits." in page
    assert "None today, and none is planned." in page
    assert "There is no course yet." in page
    for address in (
        "roster_course_add",
        "roster_courseenrolment_import",
        "roster_classsession_add",
    ):
        assert reverse(f"admin:{address}") in page


def test_a_lecturer_without_courses_is_told_whom_to_ask(client, db):
    client.force_login(a_lecturer("nina"))
    page = client.get(INDEX).text
    assert "You have no course yet." in page
    assert reverse("admin:roster_course_add") not in page


def test_more_courses_need_no_more_queries(as_alice, alice, room_101, busy_school):
    def add_courses(first: int, last: int) -> None:
        for number in range(first, last):
            course = a_course(f"C-{number}", alice)
            student = a_student(f"N-{number}", f"Student {number}", course)
            a_template(student, an_embedding(number))
            another = a_student(f"M-{number}", f"Another {number}", course)
            a_registration(another)
            a_claim(another, f"claimant-{number}")
            session = a_session(course, room=room_101)
            kiosk = Kiosk.objects.create(name=f"Kiosk {number}", room=room_101)
            an_attendance(session, student, kiosk=kiosk)
            an_attendance(a_session(course, starts_at=timezone.now() - 30 * HOUR), student)
            for _attempt in range(desk.REPEATED[Outcome.SPOOF]):
                an_attempt(kiosk, session, outcome=Outcome.SPOOF)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            as_alice.get(INDEX)
        return len(captured)

    add_courses(0, 1)
    few = queries()
    add_courses(1, 11)
    assert queries() == few
    assert Course.objects.filter(lecturers=alice).count() == 12


# The lists below


def test_an_administrator_finds_every_list(as_admin):
    answer = as_admin.get(INDEX)
    for model, its_admin in django_admin.site._registry.items():
        if not its_admin.has_module_permission(answer.wsgi_request):
            continue  # it has pages, but no list
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert f'href="{address}"' in answer.text, address


def test_a_lecturer_is_not_shown_what_packages_keep(as_alice, alice):
    assert [group["name"] for group in as_alice.get(INDEX).context["app_list"]] == [
        "Roster",
        "Faces",
        "Attendance",
    ]


# The filter by session, which the page's links use


def test_attendance_is_filtered_by_the_sessions_of_a_link(as_alice, math, math_session, eileen):
    other = a_session(math, starts_at=timezone.now() - 30 * HOUR)
    wanted, _other = an_attendance(math_session, eileen), an_attendance(other, eileen)
    lists = as_alice.get(ATTENDANCE, {"session": math_session.pk})
    assert list(lists.context["cl"].queryset) == [wanted]
    assert str(math_session) in lists.text


@pytest.mark.parametrize("value", ["nonsense", "0,x", "9" * 30, "-1"])
def test_a_wrong_session_in_the_address_finds_nothing(as_alice, math_session, eileen, value):
    an_attendance(math_session, eileen)
    answer = as_alice.get(ATTENDANCE, {"session": value})
    assert answer.status_code == 200
    assert list(answer.context["cl"].queryset) == []


def test_charlie_learns_nothing_of_alices_session_by_its_number(
    client, charlie, chem_session, math_session, eileen
):
    an_attendance(math_session, eileen)
    client.force_login(charlie)
    answer = client.get(ATTENDANCE, {"session": math_session.pk})
    assert list(answer.context["cl"].queryset) == []
    assert "MATH" not in answer.text

"""Weekly series: the dates they hold, and what a change does to their sessions."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from roster.models import ClassSession, Course, Holiday, SessionSeries
from roster.series import (
    SeriesRefusedError,
    delete_holiday,
    delete_series,
    delete_session,
    plan_series,
    save_holiday,
    save_series,
)
from tests.support.school import a_course, a_session, an_attendance, utc

BEFORE = utc(2026, 1, 1)
ADD_URL = "/admin/roster/sessionseries/add/"


@pytest.fixture
def in_berlin(alice) -> Course:
    return a_course("BER", alice, timezone="Europe/Berlin")


@pytest.fixture
def in_shanghai(alice) -> Course:
    return a_course("SHA", alice, timezone="Asia/Shanghai")


def weekly(course: Course, **fields) -> SessionSeries:
    """Mondays, 09:00 to 10:30, for the four weeks of March 2026 around the change of clocks."""
    return SessionSeries(
        course=course,
        **{
            "weekdays": ["MO"],
            "start_time": time(9),
            "end_time": time(10, 30),
            "first_day": date(2026, 3, 16),
            "last_day": date(2026, 4, 6),
            **fields,
        },
    )


def starts_of(course: Course) -> list:
    sessions = ClassSession.objects.filter(course=course).order_by("starts_at")
    return list(sessions.values_list("starts_at", flat=True))


# Dates


def test_nine_o_clock_stays_nine_o_clock_when_summer_time_begins(in_berlin):
    save_series(weekly(in_berlin), at=BEFORE)
    assert starts_of(in_berlin) == [
        utc(2026, 3, 16, 8),
        utc(2026, 3, 23, 8),
        utc(2026, 3, 30, 7),
        utc(2026, 4, 6, 7),
    ]


def test_and_when_it_ends(in_berlin):
    autumn = {"first_day": date(2026, 10, 19), "last_day": date(2026, 11, 2)}
    save_series(weekly(in_berlin, **autumn), at=BEFORE)
    assert starts_of(in_berlin) == [utc(2026, 10, 19, 7), utc(2026, 10, 26, 8), utc(2026, 11, 2, 8)]


def test_where_clocks_are_never_changed_nothing_moves(in_shanghai):
    save_series(weekly(in_shanghai), at=BEFORE)
    assert starts_of(in_shanghai) == [utc(2026, 3, day, 1) for day in (16, 23, 30)] + [
        utc(2026, 4, 6, 1)
    ]


def test_an_early_session_belongs_to_the_courses_day_not_to_that_of_utc(in_shanghai):
    save_series(weekly(in_shanghai, start_time=time(7), end_time=time(8)), at=BEFORE)
    first = ClassSession.objects.order_by("starts_at")[0]
    assert first.starts_at == utc(2026, 3, 15, 23)
    assert first.series_day == date(2026, 3, 16)


def test_forty_weeks_on_two_days_make_eighty_sessions(in_berlin):
    first_day = date(2026, 9, 7)
    series = weekly(
        in_berlin,
        weekdays=["MO", "TH"],
        first_day=first_day,
        last_day=first_day + timedelta(weeks=40, days=-1),
    )
    save_series(series, at=BEFORE)
    clocks = [timezone.localtime(start, in_berlin.zone) for start in starts_of(in_berlin)]
    assert len(clocks) == 80
    assert {clock.time() for clock in clocks} == {time(9)}
    assert [clock.date() for clock in clocks] == sorted(
        first_day + timedelta(weeks=week, days=day) for week in range(40) for day in (0, 3)
    )
    assert {clock.utcoffset() for clock in clocks} == {timedelta(hours=1), timedelta(hours=2)}


def test_every_other_week_is_counted_from_the_first(in_berlin):
    save_series(weekly(in_berlin, interval_weeks=2), at=BEFORE)
    assert starts_of(in_berlin) == [utc(2026, 3, 16, 8), utc(2026, 3, 30, 7)]


def test_sessions_take_what_the_course_asks_for(in_berlin):
    in_berlin.opens_early_min, in_berlin.late_after_min, in_berlin.check_out = 5, 20, True
    save_series(weekly(in_berlin), at=BEFORE)
    session = ClassSession.objects.first()
    assert (session.opens_early_min, session.late_after_min, session.check_out) == (5, 20, True)


def test_what_has_passed_is_not_made_up_for(in_berlin):
    plan = save_series(weekly(in_berlin), at=utc(2026, 3, 23, 9))
    assert starts_of(in_berlin) == [utc(2026, 3, 30, 7), utc(2026, 4, 6, 7)]
    assert [slot.day for slot in plan.passed] == [date(2026, 3, 16), date(2026, 3, 23)]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weekdays": ["TU"], "last_day": date(2026, 3, 16)}, "None of these weekdays"),
        ({"weekdays": ["MO", "TU"], "last_day": date(2031, 3, 16)}, "at most 400"),
        (
            {"weekdays": ["SU"], "start_time": time(2, 30), "end_time": time(3)},
            "On 2026-03-29 the clocks of Europe/Berlin are changed",
        ),
    ],
)
def test_dates_that_cannot_be_are_refused_in_words(in_berlin, fields, words):
    with pytest.raises(SeriesRefusedError, match=words):
        save_series(weekly(in_berlin, **fields), at=BEFORE)
    assert not SessionSeries.objects.exists()


# Holidays


def holiday(course: Course | None = None, *, first: date, last: date | None = None) -> Holiday:
    return Holiday(name="Break", course=course, first_day=first, last_day=last or first)


def test_holidays_of_all_courses_and_of_this_one_are_skipped(in_berlin, in_shanghai):
    save_holiday(holiday(first=date(2026, 3, 20), last=date(2026, 3, 25)), at=BEFORE)
    save_holiday(holiday(in_berlin, first=date(2026, 4, 6)), at=BEFORE)
    save_holiday(holiday(in_shanghai, first=date(2026, 3, 16)), at=BEFORE)
    plan = save_series(weekly(in_berlin), at=BEFORE)
    assert starts_of(in_berlin) == [utc(2026, 3, 16, 8), utc(2026, 3, 30, 7)]
    assert [day for day, _holiday in plan.holidays] == [date(2026, 3, 23), date(2026, 4, 6)]


def test_a_holiday_that_comes_later_takes_its_sessions_and_gives_them_back(in_berlin):
    save_series(weekly(in_berlin), at=BEFORE)
    late = holiday(first=date(2026, 3, 30))
    assert save_holiday(late, at=BEFORE) == 1
    assert utc(2026, 3, 30, 7) not in starts_of(in_berlin)

    delete_holiday(late, at=BEFORE)
    assert utc(2026, 3, 30, 7) in starts_of(in_berlin)


def test_a_holiday_takes_no_session_in_which_somebody_is_recorded(in_berlin, eileen):
    save_series(weekly(in_berlin), at=BEFORE)
    kept = ClassSession.objects.get(series_day=date(2026, 3, 30))
    an_attendance(kept, eileen, status="excused", arrived_at=None)
    assert save_holiday(holiday(first=date(2026, 3, 30)), at=BEFORE) == 0
    assert ClassSession.objects.filter(pk=kept.pk).exists()


def test_a_holiday_of_another_course_touches_nothing(in_berlin, in_shanghai):
    save_series(weekly(in_berlin), at=BEFORE)
    assert save_holiday(holiday(in_shanghai, first=date(2026, 3, 30)), at=BEFORE) == 0


# Changing and deleting


@pytest.fixture
def series(in_berlin) -> SessionSeries:
    """16, 23, 30 March and 6 April."""
    made = weekly(in_berlin)
    save_series(made, at=BEFORE)
    return made


def test_a_change_moves_the_sessions_to_come_and_keeps_the_past(series, in_berlin):
    before = list(ClassSession.objects.order_by("starts_at").values_list("pk", flat=True))
    series.start_time, series.end_time = time(11), time(12)
    save_series(series, at=utc(2026, 3, 23, 12))
    assert starts_of(in_berlin) == [
        utc(2026, 3, 16, 8),
        utc(2026, 3, 23, 8),
        utc(2026, 3, 30, 9),
        utc(2026, 4, 6, 9),
    ]
    assert list(ClassSession.objects.order_by("starts_at").values_list("pk", flat=True)) == before


def test_a_change_leaves_alone_what_somebody_changed_or_recorded(series, in_berlin, eileen):
    by_hand, recorded, *_rest = ClassSession.objects.order_by("starts_at")
    ClassSession.objects.filter(pk=by_hand.pk).update(changed_by_hand=True)
    an_attendance(recorded, eileen, status="excused", arrived_at=None)
    series.start_time, series.end_time = time(11), time(12)
    plan = save_series(series, at=BEFORE)
    assert starts_of(in_berlin) == [
        utc(2026, 3, 16, 8),
        utc(2026, 3, 23, 8),
        utc(2026, 3, 30, 9),
        utc(2026, 4, 6, 9),
    ]
    assert plan.kept == [by_hand, recorded]


def test_another_weekday_deletes_the_old_days_and_makes_the_new(series, in_berlin):
    series.weekdays = ["TU"]
    save_series(series, at=utc(2026, 3, 20))
    assert [start.date() for start in starts_of(in_berlin)] == [
        date(2026, 3, 16),
        date(2026, 3, 24),
        date(2026, 3, 31),
    ]


def test_saving_again_changes_nothing(series):
    before = list(ClassSession.objects.order_by("pk").values())
    plan = save_series(series, at=BEFORE)
    assert (plan.new, plan.moved, plan.gone) == ([], [], [])
    assert list(ClassSession.objects.order_by("pk").values()) == before


def test_a_session_that_takes_attendance_is_not_moved(series, in_berlin):
    series.start_time, series.end_time = time(11), time(12)
    save_series(series, at=utc(2026, 3, 16, 7, 50))
    assert starts_of(in_berlin)[0] == utc(2026, 3, 16, 8)


def test_a_single_session_that_was_deleted_does_not_come_back(series, in_berlin):
    delete_session(ClassSession.objects.get(series_day=date(2026, 3, 23)))
    series.refresh_from_db()
    series.room = None
    save_series(series, at=BEFORE)
    assert utc(2026, 3, 23, 8) not in starts_of(in_berlin)
    assert len(starts_of(in_berlin)) == 3


def test_deleting_a_series_keeps_the_past_and_what_was_recorded(series, in_berlin, eileen):
    an_attendance(
        ClassSession.objects.get(series_day=date(2026, 4, 6)),
        eileen,
        status="excused",
        arrived_at=None,
    )
    assert delete_series(series, at=utc(2026, 3, 24)) == (1, 3)
    assert starts_of(in_berlin) == [utc(2026, 3, 16, 8), utc(2026, 3, 23, 8), utc(2026, 4, 6, 7)]
    assert not ClassSession.objects.exclude(series=None).exists()


# At the same time


def test_a_course_is_not_in_two_places_at_once(series, in_berlin):
    twice = weekly(in_berlin, start_time=time(10), end_time=time(11))
    with pytest.raises(SeriesRefusedError, match=r"2026-03-16 09:00, .* and 1 more"):
        save_series(twice, at=BEFORE)
    assert ClassSession.objects.count() == 4


def test_one_session_may_follow_the_other_at_once(series, in_berlin):
    save_series(weekly(in_berlin, start_time=time(10, 30), end_time=time(12)), at=BEFORE)
    assert ClassSession.objects.count() == 8


def test_a_room_that_is_taken_is_told_across_time_zones(series, in_shanghai, room_101):
    a_session(series.course, room=room_101, starts_at=utc(2026, 3, 31, 1, 30))
    in_the_same_room = weekly(in_shanghai, room=room_101, weekdays=["TU"])
    plan = plan_series(in_the_same_room, at=BEFORE)
    assert [slot.day for slot, _session in plan.room_clashes] == [date(2026, 3, 31)]


def test_sessions_given_back_after_a_holiday_make_way_for_what_was_planned_meanwhile(
    series, in_berlin
):
    late = holiday(first=date(2026, 3, 30))
    save_holiday(late, at=BEFORE)
    a_session(in_berlin, starts_at=utc(2026, 3, 30, 8))
    delete_holiday(late, at=BEFORE)
    assert starts_of(in_berlin)[2:] == [utc(2026, 3, 30, 8), utc(2026, 4, 6, 7)]


# At the desk


def typed(course: Course, **fields) -> dict[str, object]:
    """A year from now, so that nothing has passed."""
    first_day = timezone.localdate() + timedelta(days=365)
    return {
        "course": course.pk,
        "weekdays": ["MO", "WE"],
        "start_time": "09:00",
        "end_time": "10:30",
        "first_day": first_day.isoformat(),
        "last_day": (first_day + timedelta(weeks=2, days=-1)).isoformat(),
        "interval_weeks": 1,
        **fields,
    }


def test_the_dates_are_shown_before_they_are_written(as_alice, math):
    page = as_alice.post(ADD_URL, typed(math))
    assert "4 sessions are created" in page.text
    assert not SessionSeries.objects.exists()

    as_alice.post(ADD_URL, typed(math, _confirmed="yes"))
    assert ClassSession.objects.filter(course=math, series__isnull=False).count() == 4


def test_the_way_back_leads_to_the_form_as_it_was(as_alice, math):
    page = as_alice.post(ADD_URL, typed(math))
    form = as_alice.get(page.context["back"]).context["adminform"].form
    assert form["weekdays"].value() == ["MO", "WE"]
    assert form["start_time"].value() == "09:00"


def test_a_change_is_shown_first_too(as_alice, math):
    as_alice.post(ADD_URL, typed(math, _confirmed="yes"))
    series = SessionSeries.objects.get()
    url = reverse("admin:roster_sessionseries_change", args=[series.pk])
    page = as_alice.post(url, typed(math, start_time="09:15"))
    assert "4 are moved" in page.text
    series.refresh_from_db()
    assert series.start_time == time(9)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"end_time": "08:00"}, "The session ends before it starts."),
        ({"last_day": "2020-01-01"}, "The last day lies before the first."),
        ({"weekdays": []}, "This field is required."),
    ],
)
def test_what_is_wrong_is_told_at_the_form(as_alice, math, fields, words):
    assert words in as_alice.post(ADD_URL, typed(math, **fields)).text
    assert not SessionSeries.objects.exists()


def test_a_room_that_is_taken_can_be_used_all_the_same(as_alice, math, chem, room_101):
    as_alice.post(ADD_URL, typed(math, room=room_101.pk, _confirmed="yes"))
    ClassSession.objects.update(course=chem, series=None)
    page = as_alice.post(ADD_URL, typed(math, room=room_101.pk))
    assert "taken by other courses on 4 of these dates" in page.text
    assert "CHEM" not in page.text
    as_alice.post(ADD_URL, typed(math, room=room_101.pk, _confirmed="yes"))
    assert ClassSession.objects.filter(course=math).count() == 4


def test_a_lecturer_makes_no_series_for_a_foreign_course(as_alice, chem):
    as_alice.post(ADD_URL, typed(chem, _confirmed="yes"))
    assert not SessionSeries.objects.exists()


def test_a_lecturer_cannot_make_or_change_a_holiday_of_all_courses(as_alice, math):
    everybodys = Holiday.objects.create(
        name="Easter", first_day=date(2026, 4, 6), last_day=date(2026, 4, 6)
    )
    assert "Easter" in as_alice.get(reverse("admin:roster_holiday_changelist")).text
    fields = {"name": "Mine", "first_day": "2026-04-06", "last_day": "2026-04-06"}
    change = reverse("admin:roster_holiday_change", args=[everybodys.pk])
    assert as_alice.post(change, fields).status_code == 403
    assert as_alice.post(reverse("admin:roster_holiday_add"), fields).status_code == 200
    assert list(Holiday.objects.values_list("name", flat=True)) == ["Easter"]


# Single sessions


def single(course: Course, **fields) -> dict[str, object]:
    return {
        "course": course.pk,
        "starts_at_0": "2026-03-02",
        "starts_at_1": "09:00",
        "ends_at_0": "2026-03-02",
        "ends_at_1": "10:30",
        **fields,
    }


def test_a_single_session_takes_what_is_left_empty_from_the_course(as_alice, math):
    Course.objects.update(opens_early_min=5, late_after_min=20, check_out=True)
    as_alice.post("/admin/roster/classsession/add/", single(math, late_after_min=0))
    session = ClassSession.objects.get()
    assert (session.opens_early_min, session.late_after_min, session.check_out) == (5, 0, True)


def test_a_single_session_at_the_same_time_is_refused(as_alice, math):
    a_session(math, starts_at=utc(2026, 3, 2, 10))
    page = as_alice.post("/admin/roster/classsession/add/", single(math))
    assert "The course has a session at this time already: 2026-03-02 10:00." in page.text
    assert ClassSession.objects.count() == 1


def test_a_taken_room_is_asked_about_once(as_alice, math, chem, room_101):
    a_session(chem, room=room_101, starts_at=utc(2026, 3, 2, 10))
    url = "/admin/roster/classsession/add/"
    page = as_alice.post(url, single(math, room=room_101.pk))
    assert "101 is taken by another course at this time." in page.text
    assert "CHEM" not in page.text
    as_alice.post(url, single(math, room=room_101.pk, share_room="on"))
    assert ClassSession.objects.filter(course=math).count() == 1


def test_a_session_that_is_changed_at_its_page_leaves_the_series_to_itself(as_alice, math):
    as_alice.post(ADD_URL, typed(math, _confirmed="yes"))
    first, second, *_rest = ClassSession.objects.order_by("starts_at")
    for session, late_after_min in ((first, 10), (second, 30)):
        day = f"{session.starts_at:%Y-%m-%d}"
        as_alice.post(
            reverse("admin:roster_classsession_change", args=[session.pk]),
            single(
                math,
                starts_at_0=day,
                ends_at_0=day,
                opens_early_min=15,
                late_after_min=late_after_min,
                check_out="false",
            ),
        )
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.changed_by_hand, second.changed_by_hand) == (False, True)

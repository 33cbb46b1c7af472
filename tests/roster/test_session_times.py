"""A lecturer types times as the clocks of the course tell them."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.models import User
from roster.models import ClassSession, Course
from tests.support.school import a_course, a_session, utc

ADD_URL = "/admin/roster/classsession/add/"


@pytest.fixture
def in_shanghai(alice: User) -> Course:
    return a_course("CHIN", alice, timezone="Asia/Shanghai")


def typed(course: Course, *, starts: str, ends: str) -> dict[str, object]:
    return {
        "course": course.pk,
        "starts_at_0": "2026-03-02",
        "starts_at_1": starts,
        "ends_at_0": "2026-03-02",
        "ends_at_1": ends,
        "opens_early_min": 15,
        "late_after_min": 10,
    }


def test_nine_o_clock_is_nine_o_clock_in_the_course(as_alice: Client, in_shanghai: Course) -> None:
    as_alice.post(ADD_URL, typed(in_shanghai, starts="09:00", ends="10:30"))

    session = ClassSession.objects.get()
    assert session.starts_at == utc(2026, 3, 2, 1, 0)
    assert session.ends_at == utc(2026, 3, 2, 2, 30)


def test_the_form_shows_what_was_typed_and_saving_it_again_changes_nothing(
    as_alice: Client, in_shanghai: Course
) -> None:
    as_alice.post(ADD_URL, typed(in_shanghai, starts="09:00", ends="10:30"))
    session = ClassSession.objects.get()
    url = f"/admin/roster/classsession/{session.pk}/change/"

    assert 'value="09:00:00"' in as_alice.get(url).content.decode()
    as_alice.post(url, typed(in_shanghai, starts="09:00:00", ends="10:30:00"))
    session.refresh_from_db()
    assert session.starts_at == utc(2026, 3, 2, 1, 0)


def test_an_end_before_the_start_is_refused_in_words(as_alice: Client, in_shanghai: Course) -> None:
    answer = as_alice.post(ADD_URL, typed(in_shanghai, starts="09:00", ends="08:00"))

    assert "The session ends before it starts" in answer.content.decode()
    assert not ClassSession.objects.exists()


def test_closing_by_hand_is_an_action_and_shown_in_the_courses_time(
    as_alice: Client, in_shanghai: Course
) -> None:
    session = a_session(in_shanghai)
    as_alice.post(
        "/admin/roster/classsession/", {"action": "close_now", "_selected_action": [session.pk]}
    )
    session.refresh_from_db()
    assert session.closed_at is not None

    session.closings.update(closed_at=utc(2026, 3, 2, 1, 30))
    page = as_alice.get(f"/admin/roster/classsession/{session.pk}/change/").content.decode()
    assert "2026-03-02 09:30" in page

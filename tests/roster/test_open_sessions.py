"""When a session takes attendance, and when somebody is late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from roster.selectors import open_sessions
from tests.support.school import a_session, utc

NINE = utc(2026, 3, 2, 9)
ALMOST = timedelta(microseconds=1)


@pytest.fixture
def session(math):
    """09:00 to 10:30, open from 08:45."""
    return a_session(math, starts_at=NINE, ends_at=NINE + timedelta(minutes=90))


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (NINE - timedelta(minutes=15) - ALMOST, False),
        (NINE - timedelta(minutes=15), True),
        (NINE, True),
        (NINE + timedelta(minutes=90) - ALMOST, True),
        (NINE + timedelta(minutes=90), False),
    ],
)
def test_a_session_is_open_from_its_early_opening_until_its_end(session, at, is_open):
    assert open_sessions(at) == ([session] if is_open else [])
    assert session.is_open(at) is is_open


def test_a_closed_session_is_not_open(session):
    session.closed_at = NINE
    session.save()
    assert open_sessions(NINE + timedelta(minutes=1)) == []


def test_a_session_may_open_four_hours_early(math):
    session = a_session(math, starts_at=NINE, opens_early_min=240)
    assert open_sessions(NINE - timedelta(hours=4)) == [session]


def test_a_session_may_open_on_time(math):
    session = a_session(math, starts_at=NINE, opens_early_min=0)
    assert open_sessions(NINE - ALMOST) == []
    assert open_sessions(NINE) == [session]


def test_of_two_open_sessions_the_earlier_comes_first(math, chem):
    later = a_session(chem, starts_at=NINE + timedelta(minutes=10))
    earlier = a_session(math, starts_at=NINE)
    assert open_sessions(NINE + timedelta(minutes=20)) == [earlier, later]


def test_late_begins_some_minutes_after_the_start(session):
    assert session.late_from == NINE + timedelta(minutes=10)


def test_a_session_can_count_everybody_late_from_its_first_moment(math):
    session = a_session(math, starts_at=NINE, late_after_min=0)
    assert session.late_from == NINE

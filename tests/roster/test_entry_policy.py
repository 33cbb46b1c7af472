"""How one enters: the course says it, a session may say otherwise."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from roster.models import ClassSession, Course, EntryPolicy
from tests.support.school import a_session


def test_a_pass_is_an_equal_way_in_unless_the_course_says_otherwise(math: Course) -> None:
    assert a_session(math).entry_policy is EntryPolicy.FACE_OR_PASS


@pytest.mark.parametrize("of_course", EntryPolicy)
@pytest.mark.parametrize("own", ["", *EntryPolicy])
def test_a_session_goes_by_its_own_policy_or_the_courses(
    math: Course, own: str, of_course: EntryPolicy
) -> None:
    math.entry_policy = of_course
    session = a_session(math, own_entry_policy=own)
    assert session.entry_policy == (own or of_course)


def test_a_lecturer_chooses_the_policy_of_a_session_at_the_desk(
    math: Course, as_alice: Client
) -> None:
    today = f"{timezone.localdate()}"
    fields = {
        "course": math.pk,
        "starts_at_0": today,
        "starts_at_1": "09:00",
        "ends_at_0": today,
        "ends_at_1": "10:30",
        "check_out": "unknown",
        "own_entry_policy": "face_and_pass",
    }
    answer = as_alice.post(reverse("admin:roster_classsession_add"), fields)
    assert answer.status_code == 302
    assert ClassSession.objects.get().entry_policy is EntryPolicy.FACE_AND_PASS


@pytest.mark.parametrize(
    "networks", ["", "10.1.0.0/16", "2001:db8::/32\n192.0.2.7", "10.0.0.0/8\r\n\r\n10.1.2.3/32"]
)
def test_networks_are_ranges_a_line_each(math: Course, networks: str) -> None:
    math.own_device_networks = networks
    math.full_clean()


@pytest.mark.parametrize(
    "wrong", ["campus", "10.1.2.3/16", "10.0.0.0/33", "10.0.0.0/8, 10.1.0.0/16", "1e3"]
)
def test_what_is_no_network_is_refused_with_an_example(math: Course, wrong: str) -> None:
    math.own_device_networks = wrong
    with pytest.raises(ValidationError, match="is no network") as error:
        math.full_clean()
    assert list(error.value.message_dict) == ["own_device_networks"]

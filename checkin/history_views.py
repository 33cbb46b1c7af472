"""A student's own attendance: every record, and the percentage of each course."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from checkin.appeals.models import Appeal
from checkin.models import Attendance
from checkin.reports.forms import CourseTermForm
from checkin.reports.rates import Rate, attendance_in, closed_sessions, rates_by, sessions_in
from recognition.views import for_students
from roster.models import Course, Student

RECORDS_A_PAGE = 30


@dataclass(frozen=True, slots=True)
class OwnCourse:
    """How a student stands in a course."""

    course: Course
    rate: Rate

    @property
    def per_cent(self) -> int:
        return (self.rate.per_mille or 0) // 10

    @property
    def is_below(self) -> bool:
        required = self.course.required_percentage
        return bool(required) and self.rate.is_below(required or 0)


@require_safe
@for_students
def own_attendance(request: HttpRequest, student: Student) -> HttpResponse:
    courses = _courses_with(student)
    form = CourseTermForm(request.GET if _asks(request) else None, courses=courses)
    rows = _records(student, form)
    page = Paginator(rows, RECORDS_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "student": student,
        "form": form,
        "in_courses": _standing(student, form),
        "page": page,
        "appeals": _appeals_on(student, page),
        "elsewhere": _open_without_record(student),
        "filter": _filter_of(form),
        "site_zone": settings.TIME_ZONE,
    }
    return render(request, "checkin/own_attendance.html", context)


def _asks(request: HttpRequest) -> bool:
    return any(name in request.GET for name in ("course", "since", "until"))


def _courses_with(student: Student) -> QuerySet[Course]:
    """Those that the student is or was in, or was recorded in."""
    own = Course.objects.filter(
        Q(enrolments__student=student) | Q(sessions__attendance__student=student)
    )
    return Course.objects.filter(pk__in=own.values("pk")).order_by("code")


def _records(student: Student, form: CourseTermForm) -> QuerySet[Attendance]:
    """The latest first, with those of sessions that are still open."""
    return (
        attendance_in(sessions_in(form.chosen, form.term))
        .filter(student=student)
        .select_related("session__course")
        .order_by("-session__starts_at", "-pk")
    )


def _appeals_on(student: Student, page: Page[Attendance]) -> dict[int, Appeal]:
    """The newest appeal by session, of the sessions on this page."""
    sessions = [row.session_id for row in page]
    appeals = Appeal.objects.filter(student=student, session__in=sessions).order_by("pk")
    return {appeal.session_id: appeal for appeal in appeals}


def _open_without_record(student: Student) -> list[Appeal]:
    """After a "not me" nothing may stand in the session, and the list does not lead there."""
    recorded = Attendance.objects.filter(student=student, session=OuterRef("session"))
    appeals = Appeal.objects.filter(~Exists(recorded), student=student, status=Appeal.Status.OPEN)
    return list(appeals.select_related("session__course"))


def _standing(student: Student, form: CourseTermForm) -> list[OwnCourse]:
    closed = attendance_in(closed_sessions(form.chosen, form.term))
    rates = rates_by(closed.filter(student=student), "session__course")
    return [OwnCourse(course, rates.get(course.pk, Rate())) for course in form.chosen]


def _filter_of(form: CourseTermForm) -> str:
    """What the links to other pages of the list carry on."""
    if not form.is_valid():
        return ""
    chosen: dict[str, Any] = {name: value for name, value in form.cleaned_data.items() if value}
    if "course" in chosen:
        chosen["course"] = chosen["course"].pk
    return urlencode(chosen)

"""Reports, with every column that they can have."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from checkin.reports.rates import ALWAYS, Term
from checkin.reports.selectors import (
    COLUMNS,
    Found,
    course_report,
    session_report,
    student_report,
    term_report,
)
from integrations.api import serializers as forms
from integrations.api.views.base import ApiView, one_of
from integrations.api.views.roster import sessions_of
from roster.models import Course
from roster.selectors import courses_of, students_of


class ReportView(ApiView):
    read_scope = "reports:read"
    read_permission = "checkin.view_attendance"
    query: ClassVar[type[Serializer]] = forms.ReportQuery
    answers = {"GET": forms.ReportOut}

    def answer(self, found: Found, term: Term) -> Response:
        columns = COLUMNS[found.report]
        return Response(
            {
                "report": found.report,
                "subject": found.subject,
                "since": term.since,
                "until": term.until,
                "rate": self.shown(forms.RateOut, found.rate),
                "sessions_not_closed": found.not_closed,
                "columns": [column.code for column in columns],
                "rows": [
                    {column.code: plain(column.cell(line)) for column in columns}
                    for line in found.lines
                ],
            }
        )

    @property
    def term(self) -> Term:
        return forms.report_term_of(self.asked)


class TermReport(ReportView):
    def get(self, request: Request) -> Response:
        """Every course that this account may see, with its rate."""
        term = self.term
        return self.answer(term_report(courses_of(self.user), term), term)


class CourseReport(ReportView):
    def get(self, request: Request, pk: int) -> Response:
        """The students and the closed sessions of a course, each with each."""
        term = self.term
        course: Course = one_of(courses_of(self.user), pk=pk)
        return self.answer(course_report(course, term), term)


class StudentReport(ReportView):
    def get(self, request: Request, pk: int) -> Response:
        """What is recorded of a student in the courses that this account may see."""
        term = self.term
        student = one_of(students_of(self.user), pk=pk)
        courses: QuerySet[Course] = courses_of(self.user)
        return self.answer(student_report(student, courses, term), term)


class SessionReport(ReportView):
    query = forms.Query

    def get(self, request: Request, pk: int) -> Response:
        """Everybody who was expected at a session, and whoever came besides."""
        session = one_of(sessions_of(self.user), pk=pk)
        return self.answer(session_report(session), ALWAYS)


def plain(cell: object) -> Any:
    """What JSON can say; rows of other tables by their names."""
    if cell is None or isinstance(cell, str | int | float):
        return cell
    if isinstance(cell, list):
        return [plain(one) for one in cell]
    return str(cell)

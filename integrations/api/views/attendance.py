"""Attendance: read, and marks by hand."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from checkin.locks import locked_sessions
from checkin.marking import MarkRefusedError, key_of, mark, state_of
from checkin.models import Attendance
from checkin.reports.rates import sessions_in
from integrations.api import serializers as forms
from integrations.api.etags import check_if_match
from integrations.api.problems import Problem, not_found
from integrations.api.serializers import page_answer
from integrations.api.views.base import ApiView, CollectionView, one_of
from integrations.api.views.roster import sessions_of
from roster.models import ClassSession, Course, Student
from roster.selectors import courses_of, students_in


class AttendanceRows(CollectionView):
    """What was recorded, session by session; a student sees the own rows."""

    read_scope = "attendance:read"
    read_permission = "checkin.view_attendance"
    query = forms.AttendanceQuery
    row = forms.AttendanceOut
    answers = {"GET": page_answer(forms.AttendanceOut)}

    def is_for(self, user: User) -> bool:
        return hasattr(user, "student")

    def rows(self) -> QuerySet[Attendance]:
        rows = attendance_of(self.user).select_related("session__course", "student")
        for name in ("session", "student", "status"):
            if name in self.asked:
                rows = rows.filter(**{name: self.asked[name]})
        if "student_id" in self.asked:
            rows = rows.filter(student__student_id=self.asked["student_id"])
        if "course" in self.asked:
            rows = rows.filter(session__course=self.asked["course"])
        term = forms.term_of(self.asked)
        if term.since or term.until:
            sessions = sessions_in(Course.objects.all(), term)
            rows = rows.filter(session__in=sessions.order_by().values("pk"))
        return rows


class Record(ApiView):
    """One student in one session."""

    read_scope = "attendance:read"
    read_permission = "checkin.view_attendance"
    write_scope = "attendance:write"
    write_permission = "checkin.change_attendance"
    bodies = {"PUT": forms.MarkIn}
    answers = {"GET": forms.RecordOut, "PUT": forms.RecordOut}
    matched_methods = ("PUT",)

    def get(self, request: Request, pk: int, student_pk: int) -> Response:
        """What stands of a student in a session; without a status nothing was recorded yet."""
        session = one_of(sessions_of(self.user), pk=pk)
        student, row = _found_in(session, student_pk)
        return Response(self.shown(forms.RecordOut, _record(session, student, row)))

    @transaction.atomic
    def put(self, request: Request, pk: int, student_pk: int) -> Response:
        """Mark by hand. The change is kept, with who made it, and can be undone at the desk.

        With `If-Match`, what somebody else, or a kiosk, recorded meanwhile is not overwritten.
        """
        sent = self.sent()
        session = one_of(sessions_of(self.user), pk=pk)
        # As the service does, so that nothing comes between the look and the mark.
        locked_sessions().filter(pk=session.pk).first()
        student, row = _found_in(session, student_pk)
        check_if_match(request, self.shown(forms.RecordOut, _record(session, student, row)))
        try:
            marked = mark(
                session=session,
                student=student,
                status=sent["status"],
                by=self.user,
                reason=sent["reason"],
                at=self.at,
                shown=key_of(state_of(row)),
            )
        except MarkRefusedError as refusal:
            raise Problem("not_possible", str(refusal)) from refusal
        answer = Response(self.shown(forms.RecordOut, _record(session, student, marked)))
        answer.about_student = student.pk  # type: ignore[attr-defined]
        return answer


def attendance_of(user: User) -> QuerySet[Attendance]:
    """The rows of the user's courses, for those with a role, and their own as a student."""
    visible = Q(student__user=user)
    if user.has_perm("checkin.view_attendance"):
        visible |= Q(session__course__in=courses_of(user).values("pk"))
    return Attendance.objects.filter(visible)


def _found_in(session: ClassSession, student_pk: int) -> tuple[Student, Attendance | None]:
    """Somebody on the class list of the session, or with a row in it, and that row.

    Raises:
        Problem: neither.
    """
    row = session.attendance.filter(student=student_pk).select_related("student").first()
    if row is not None:
        return row.student, row
    student = students_in(session).filter(pk=student_pk).first()
    if student is None:
        raise not_found()
    return student, None


def _record(session: ClassSession, student: Student, row: Attendance | None) -> dict[str, Any]:
    return {
        "session": session,
        "student": student,
        "status": row and row.status,
        "method": row and row.method,
        "arrived_at": row and row.arrived_at,
        "left_at": row and row.left_at,
    }

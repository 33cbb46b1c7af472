"""Class lists by file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import F
from django.utils import timezone
from import_export.fields import Field

from roster.events import enrolments_ended, enrolments_started
from roster.imports.report import CHANGED, NEW, SAME, SHOWN_ROWS, Change, Report
from roster.imports.students import COLUMNS, PersonRows, save_students
from roster.models import Course, CourseEnrolment, Student


class ClassListResource(PersonRows):
    """The class list of one course.

    A row adds the student to the roster and to the list, or corrects name and e-mail. The same
    file again changes nothing. Who is not in the file stays, or is end-dated on request.
    """

    student_id = Field("student__student_id", "student_id")
    name = Field("student__name", "name")
    email = Field("student__email", "email")
    left_on = Field("left_on", "left_on", readonly=True)

    told = (*COLUMNS, "left_on")

    class Meta:
        model = CourseEnrolment
        fields = (*COLUMNS, "left_on")
        import_id_fields = ("student_id",)

    def __init__(
        self, *, course: Course | None = None, end_missing: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.course = course
        self.end_missing = end_missing

    def load(self, keys: Sequence[str]) -> None:
        super().load(keys)
        assert self.course is not None  # noqa: S101
        self._in_file = set(keys)
        self._enrolments: dict[str, CourseEnrolment] = {
            enrolment.number: enrolment
            for enrolment in self.course.enrolments.select_related("student").annotate(
                number=F("student__student_id")
            )
        }

    def change_of(self, row: dict[str, str]) -> Change:
        student, before = self.student_after(row)
        enrolment = self._enrolments.get(student.student_id)
        left_on = str(enrolment.left_on) if enrolment and enrolment.left_on else ""
        before = (*before, left_on)
        after = (student.student_id, student.name, student.email, "")
        if enrolment is None:
            return Change(NEW, before, after, (student, None))
        return Change(SAME if before == after else CHANGED, before, after, (student, enrolment))

    def write(self, changes: list[Change]) -> None:
        save_students(
            [
                (change.target[0], change)
                for change in changes
                if change.before[:3] != change.after[:3]
            ]
        )
        joining = CourseEnrolment.objects.bulk_create(
            CourseEnrolment(course=self.course, student=change.target[0])
            for change in changes
            if change.kind == NEW
        )
        returning = [_returned(*change.target) for change in changes if change.before[3]]
        CourseEnrolment.objects.filter(pk__in=[one.pk for one in returning]).update(left_on=None)
        enrolments_started([*joining, *returning], timezone.now())

    def finish(self, report: Report) -> None:
        # A row without a number may be anybody's: then nobody can be said to be missing.
        report.missing_unknown = "" in self._in_file
        self._missing = [
            enrolment
            for number, enrolment in self._enrolments.items()
            if not report.missing_unknown
            and number not in self._in_file
            and enrolment.left_on is None
        ]
        report.missing_count = len(self._missing)
        report.ended_count = len(self._missing) if self.end_missing else 0
        first = [enrolment.student_id for enrolment in self._missing[:SHOWN_ROWS]]
        report.missing_shown = list(Student.objects.filter(pk__in=first))

    def write_rest(self, report: Report) -> None:
        if not self.end_missing or self.course is None:
            return
        now = timezone.now()
        today = timezone.localdate(now, self.course.zone)
        for enrolment in self._missing:
            enrolment.left_on = max(today, enrolment.joined_on)
        CourseEnrolment.objects.bulk_update(self._missing, ["left_on"], batch_size=500)
        enrolments_ended(self._missing, now)


def _returned(student: Student, enrolment: CourseEnrolment) -> CourseEnrolment:
    enrolment.student, enrolment.left_on = student, None
    return enrolment

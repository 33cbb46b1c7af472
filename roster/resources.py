"""Class lists in and out of files, row by row. `student_id` is the key."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import tablib
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.html import conditional_escape, format_html
from django.utils.translation import gettext as _
from import_export.fields import Field
from import_export.resources import Diff, ModelResource
from import_export.results import InvalidRow, Result

from accounts.models import User
from roster.models import Course, CourseEnrolment, Student
from roster.selectors import students_of

COLUMNS = ("student_id", "name", "email")


@dataclass(frozen=True, slots=True)
class BadCell:
    """Where a file is wrong, as the preview tells it. Row 1 of the file is its header."""

    row: int
    column: str
    value: str
    reason: str


class PlainDiff(Diff):
    """What changes in each column, in markup without inline styles."""

    def as_html(self) -> list[str]:
        return [
            conditional_escape(after)
            if before == after or self.new
            else format_html("<del>{}</del> <ins>{}</ins>", before, after)
            for before, after in zip(self.left, self.right, strict=True)
        ]


class ClassListResource(ModelResource):
    """The class list of one course.

    A row adds the student to the roster and to the list, or corrects name and e-mail. The same
    file again changes nothing. Who is not in the file stays, or is end-dated on request.
    """

    student_id = Field("student__student_id", "student_id")
    name = Field("student__name", "name")
    email = Field("student__email", "email")
    left_on = Field("left_on", "left_on", readonly=True)

    class Meta:
        model = CourseEnrolment
        fields = (*COLUMNS, "left_on")
        import_id_fields = ("student_id",)
        skip_unchanged = True
        report_skipped = True
        clean_model_instances = True
        use_transactions = True

    def __init__(
        self,
        *,
        course: Course | None = None,
        user: User | None = None,
        end_missing: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.course = course
        self.user = user
        self.end_missing = end_missing

    def get_diff_class(self) -> type[Diff]:
        return PlainDiff

    # Import

    def before_import(self, dataset: tablib.Dataset, **kwargs: Any) -> None:
        dataset.headers = [str(header or "").strip().lower() for header in dataset.headers or []]
        absent = [column for column in COLUMNS[:2] if column not in dataset.headers]
        if absent:
            raise ValidationError(
                _("The column %(absent)s is missing. Got %(got)s, expected %(expected)s.")
                % {
                    "absent": ", ".join(absent),
                    "got": ", ".join(dataset.headers),
                    "expected": ", ".join(COLUMNS),
                }
            )
        numbers = [_as_text(number) for number in dataset["student_id"]]
        self._times_in_file = Counter(numbers)
        assert self.course is not None and self.user is not None  # noqa: S101, PT018
        self._enrolments = {
            enrolment.student.student_id: enrolment
            for enrolment in self.course.enrolments.select_related("student")
        }
        self._students = Student.objects.in_bulk(set(numbers), field_name="student_id")
        own = students_of(self.user).filter(student_id__in=self._students)
        self._own_numbers = set(own.values_list("student_id", flat=True))

    def before_import_row(self, row: dict[str, Any], **kwargs: Any) -> None:
        for column in COLUMNS:
            row[column] = _as_text(row.get(column))
        number = row["student_id"]
        if not number:
            raise ValidationError({"student_id": _("The student number is missing.")})
        if not row["name"]:
            raise ValidationError({"name": _("The name is missing.")})
        if self._times_in_file[number] > 1:
            raise ValidationError(
                {"student_id": _("This student number stands in the file more than once.")}
            )
        if self._is_foreign(number) and self._students[number].name != row["name"]:
            raise ValidationError(
                {
                    "name": _(
                        "This student number is on the roster of another course under another "
                        "name. Check the number, or ask an administrator to correct the name."
                    )
                }
            )

    def _is_foreign(self, number: str) -> bool:
        """On the roster, but in no course of this user: to be listed, not to be changed."""
        return number in self._students and number not in self._own_numbers

    def get_instance(self, instance_loader: Any, row: dict[str, Any]) -> CourseEnrolment | None:
        return self._enrolments.get(row["student_id"])

    def init_instance(self, row: dict[str, Any] | None = None) -> CourseEnrolment:
        number = (row or {})["student_id"]
        student = self._students.get(number) or Student(student_id=number)
        return CourseEnrolment(course=self.course, student=student)

    def import_instance(
        self, instance: CourseEnrolment, row: dict[str, Any], **kwargs: Any
    ) -> None:
        if not self._is_foreign(row["student_id"]):
            if not row["email"]:
                row["email"] = instance.student.email
            super().import_instance(instance, row, **kwargs)
        instance.left_on = None

    def validate_instance(
        self,
        instance: CourseEnrolment,
        import_validation_errors: dict[str, Any] | None = None,
        validate_unique: bool = True,
    ) -> None:
        try:
            instance.student.clean_fields(exclude=["user"])
        except ValidationError as error:
            raise ValidationError(
                {**(import_validation_errors or {}), **error.error_dict}
            ) from None

    def skip_row(
        self,
        instance: CourseEnrolment,
        original: CourseEnrolment,
        row: dict[str, Any],
        import_validation_errors: dict[str, Any] | None = None,
    ) -> bool:
        if instance._state.adding:
            return False
        return super().skip_row(instance, original, row, import_validation_errors)

    def do_instance_save(self, instance: CourseEnrolment, is_create: bool) -> None:
        if not self._is_foreign(instance.student.student_id):
            instance.student.save()
        instance.student = instance.student  # takes over the key of a new student
        instance.save()

    def after_import(self, dataset: tablib.Dataset, result: Result, **kwargs: Any) -> None:
        super().after_import(dataset, result, **kwargs)
        missing = [
            enrolment
            for number, enrolment in self._enrolments.items()
            if number not in self._times_in_file and enrolment.left_on is None
        ]
        result.missing = [enrolment.student for enrolment in missing]
        result.bad_cells = [cell for row in result.invalid_rows for cell in bad_cells_of(row)]
        if self.end_missing and self.course is not None:
            today = timezone.localdate(timezone=self.course.zone)
            for enrolment in missing:
                enrolment.left_on = max(today, enrolment.joined_on)
            CourseEnrolment.objects.bulk_update(missing, ["left_on"], batch_size=500)


def bad_cells_of(row: InvalidRow) -> list[BadCell]:
    return [
        BadCell(row.number + 1, column, row.values[COLUMNS.index(column)], reason)
        for column, reasons in row.field_specific_errors.items()
        for reason in reasons
    ]


def _as_text(cell: Any) -> str:
    """A cell as it was written: a spreadsheet turns the number 1001 into 1001.0."""
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip()

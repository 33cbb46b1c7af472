"""Students by file, with or without a class list."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from roster.events import students_changed, students_created
from roster.imports.base import RosterResource, batches_of
from roster.imports.report import CHANGED, NEW, SAME, Change
from roster.models import Student
from roster.selectors import students_of

COLUMNS = ("student_id", "name", "email")


class PersonRows(RosterResource):
    """A student per row. An empty e-mail keeps the one that is known."""

    key = "student_id"
    columns = COLUMNS
    required = COLUMNS[:2]

    def load(self, keys: Sequence[str]) -> None:
        assert self.user is not None  # noqa: S101
        self._students: dict[str, Student] = {}
        self._own_numbers: set[str] = set()
        for _start, numbers in batches_of(keys):
            known = Student.objects.filter(student_id__in=numbers)
            self._students |= {student.student_id: student for student in known.only(*COLUMNS)}
            own = students_of(self.user).filter(student_id__in=numbers)
            self._own_numbers.update(own.values_list("student_id", flat=True))

    def student_after(self, row: dict[str, str]) -> tuple[Student, tuple[str, ...]]:
        """The student as the row wants them, and what the roster said before."""
        number = row["student_id"]
        student = self._students.get(number)
        if student is None:
            student = Student(student_id=number, name=row["name"], email=row["email"])
            student.clean_fields(exclude=["user"])
            return student, ("", "", "")
        before = _values(student)
        if number not in self._own_numbers:
            _check_foreign(student, row)
            return student, before
        student.name = row["name"]
        student.email = row["email"] or student.email
        if before != _values(student):
            student.clean_fields(exclude=["user"])
        return student, before


class StudentResource(PersonRows):
    """The students of the roster, whatever their courses. Who is not in the file stays."""

    class Meta:
        model = Student
        fields = COLUMNS
        import_id_fields = ("student_id",)

    def change_of(self, row: dict[str, str]) -> Change:
        student, before = self.student_after(row)
        after = _values(student)
        if student._state.adding:
            return Change(NEW, before, after, student)
        return Change(SAME if before == after else CHANGED, before, after, student)

    def write(self, changes: list[Change]) -> None:
        save_students([(change.target, change) for change in changes])


def save_students(students: Sequence[tuple[Student, Change]]) -> None:
    """One statement for new and known ones: ``bulk_update`` takes ten times as long.

    Without its primary key a known student conflicts in the number alone, and is updated.
    """
    new = [student for student, _change in students if student._state.adding]
    known = [(student, change) for student, change in students if not student._state.adding]
    Student.objects.bulk_create(
        [
            *new,
            *(
                Student(student_id=student.student_id, name=student.name, email=student.email)
                for student, _change in known
            ),
        ],
        update_conflicts=True,
        unique_fields=["student_id"],
        update_fields=["name", "email"],
    )
    at = timezone.now()
    students_created(new, at)
    students_changed(((student, _different(change)) for student, change in known), at)


def _different(change: Change) -> list[str]:
    both = zip(COLUMNS, change.before, change.after, strict=False)
    return [column for column, before, after in both if before != after]


def _values(student: Student) -> tuple[str, ...]:
    return student.student_id, student.name, student.email


def _check_foreign(student: Student, row: dict[str, str]) -> None:
    """On the roster, but in no course of this user: to be listed, not to be changed."""
    if student.name != row["name"]:
        raise ValidationError(
            {
                "name": _(
                    "This student number is on the roster of another course under another "
                    "name. Check the number, or ask an administrator to correct the name."
                )
            }
        )

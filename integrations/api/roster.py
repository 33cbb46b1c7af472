"""What other systems write into the roster. Each function is one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import User
from integrations.api.problems import Problem, pointer
from roster.formats import Table
from roster.imports.class_lists import ClassListResource
from roster.imports.history import remember_import
from roster.imports.report import CHANGED, NEW, SAME, BadRow, Report
from roster.imports.students import COLUMNS
from roster.models import Course, CourseEnrolment, Student


@transaction.atomic
def change_student(*, student: Student, by: User, **values: str) -> Student:
    """Correct what the roster says of a student, and note that in the desk's history."""
    changed = [name for name, value in values.items() if getattr(student, name) != value]
    if not changed:
        return student
    for name in changed:
        setattr(student, name, values[name])
    student.save(update_fields=changed)
    labels = [
        str(field.verbose_name) for field in Student._meta.concrete_fields if field.name in changed
    ]
    LogEntry.objects.log_actions(
        by.pk, [student], CHANGE, json.dumps([{"changed": {"fields": labels}}]), single_object=True
    )
    return student


@transaction.atomic
def upload_class_list(
    *,
    course: Course,
    students: Sequence[dict[str, Any]],
    end_missing: bool,
    by: User,
    client: str,
) -> dict[str, int]:
    """Bring the class list up to date, by the same rules as an import by file.

    Raises:
        Problem: rows are wrong, each with its place; or somebody else wrote the same ones.
    """
    table = Table(
        list(COLUMNS),
        [(at, [row[column].strip() for column in COLUMNS]) for at, row in enumerate(students)],
    )
    report = ClassListResource(course=course, end_missing=end_missing, user=by).import_data(table)
    if report.bad:
        raise Problem(
            "rows_refused",
            _("%(bad)d of %(all)d rows are wrong. Correct them and send the whole list again.")
            % {"bad": len(report.bad), "all": len(students)},
            errors=[error for row in report.bad for error in _errors_of(row)],
        )
    if report.refusals:
        raise Problem(
            "not_possible",
            _("Somebody else changed the same rows just now, so nothing was written. Try again."),
        )
    if report.changes_something:
        remember_import(
            user=by,
            model=CourseEnrolment,
            subject=str(course),
            file_name=f"API: {client}",
            report=report,
            bad_rows="",
        )
    return _written(report)


def _written(report: Report) -> dict[str, int]:
    return {
        "created": report.counts[NEW],
        "changed": report.counts[CHANGED],
        "unchanged": report.counts[SAME],
        "ended": report.ended_count,
    }


def _errors_of(row: BadRow) -> list[dict[str, Any]]:
    return [
        {
            "pointer": pointer("students", row.number, column),
            "row": row.number,
            "column": column,
            "code": "refused",
            "detail": reason,
        }
        for column, reasons in row.reasons.items()
        for reason in reasons
    ]

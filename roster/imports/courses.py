"""Courses by file."""

from __future__ import annotations

import re
import zoneinfo
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from import_export.fields import Field

from accounts.models import User
from roster.imports.base import RosterResource
from roster.imports.report import CHANGED, NEW, SAME, Change
from roster.models import Course
from roster.selectors import courses_of

COLUMNS = ("code", "title", "timezone", "lecturers")


class CourseResource(RosterResource):
    """Courses with their lecturers, who are named by username or e-mail.

    An empty time zone or lecturers' cell keeps what is known.
    """

    lecturers = Field(column_name="lecturers")

    key = "code"
    columns = COLUMNS
    required = COLUMNS[:2]

    class Meta:
        model = Course
        fields = COLUMNS
        export_order = COLUMNS
        import_id_fields = ("code",)

    def filter_export(self, queryset: QuerySet[Course], **kwargs: Any) -> QuerySet[Course]:
        return queryset.prefetch_related("lecturers")

    def dehydrate_lecturers(self, course: Course) -> str:
        return _names(list(course.lecturers.all()))

    def load(self, keys: Sequence[str]) -> None:
        assert self.user is not None  # noqa: S101
        self._courses = {
            course.code: course for course in Course.objects.prefetch_related("lecturers")
        }
        self._own_codes = set(courses_of(self.user).values_list("code", flat=True))
        self._zones = zoneinfo.available_timezones()
        staff = User.objects.filter(is_active=True, is_staff=True)
        self._staff = {user.username: user for user in staff}
        self._staff |= {user.email.lower(): user for user in staff if user.email}

    def change_of(self, row: dict[str, str]) -> Change:
        course = self._courses.get(row["code"])
        if course and course.code not in self._own_codes:
            raise ValidationError({"code": _("A course of others has this code already.")})
        names = [name for name in re.split(r"[\s;,]+", row["lecturers"]) if name]
        self._check_names(row["timezone"], names)
        before = _values(course, list(course.lecturers.all())) if course else ("", "", "", "")
        course = course or Course(code=row["code"])
        course.title = row["title"]
        course.timezone = row["timezone"] or course.timezone
        course.clean_fields(exclude=["timezone"])
        named = [user for name in names if (user := self._staff_called(name))]
        lecturers = named or ([] if course._state.adding else list(course.lecturers.all()))
        after = _values(course, lecturers)
        if course._state.adding:
            return Change(NEW, before, after, (course, lecturers))
        return Change(SAME if before == after else CHANGED, before, after, (course, lecturers))

    def _check_names(self, zone: str, names: list[str]) -> None:
        """The model's own check of a time zone would read the list of all for each row."""
        wrong = defaultdict(list)
        if zone and zone not in self._zones:
            wrong["timezone"].append(
                _("“%(name)s” is no time zone. Use a name like Europe/Berlin or Asia/Shanghai.")
                % {"name": zone}
            )
        for name in names:
            if self._staff_called(name) is None:
                wrong["lecturers"].append(
                    _(
                        "No member of staff is called “%(name)s”. Give a username or an e-mail "
                        "address; an administrator makes an account staff."
                    )
                    % {"name": name}
                )
        if wrong:
            raise ValidationError(dict(wrong))

    def _staff_called(self, name: str) -> User | None:
        return self._staff.get(name) or self._staff.get(name.lower())

    def write(self, changes: list[Change]) -> None:
        for change in changes:
            course, lecturers = change.target
            course.save()
            course.lecturers.set(lecturers)


def _values(course: Course, lecturers: list[User]) -> tuple[str, ...]:
    return course.code, course.title, course.timezone, _names(lecturers)


def _names(lecturers: list[User]) -> str:
    return " ".join(sorted({lecturer.username for lecturer in lecturers}))

"""Whom a photo shows, told by its name in the ZIP or by a list."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from recognition.cohort.archive import ArchiveRefusedError, Entry, EntryRefusedError
from roster.formats import Table, read_table
from roster.models import Course, Student

#: What tells one student's pictures apart: S-1001_1, S-1001-2, "S-1001 (3)".
_COUNTED = re.compile(r"(?:[ _-]?\(\d{1,3}\)|[ _-]\d{1,2})$")
_LIST_COLUMNS = ("file", "student_id")


def class_list(course: Course) -> QuerySet[Student]:
    """Who is on the list today, or joins it later."""
    today = timezone.localdate(timezone=course.zone)
    return Student.objects.filter(
        Q(enrolments__left_on=None) | Q(enrolments__left_on__gt=today), enrolments__course=course
    )


class NamedByNumber:
    """Files or their folders bear the student's number."""

    def __init__(self, course: Course, entries: Iterable[Entry]) -> None:
        self._course = course
        self._students = _by_number(course)
        stems = {_stem(entry) for entry in entries}
        elsewhere = Student.objects.filter(student_id__in=stems - self._students.keys())
        # S-10-2 of another course is not the second picture of S-10.
        self._taken = set(elsewhere.values_list("student_id", flat=True))

    def student_on(self, entry: Entry) -> Student:
        """Who is on the picture.

        Raises:
            EntryRefusedError: nobody of this course, or two of them.
        """
        found = {
            self._students[number] for number in self._numbers(entry) if number in self._students
        }
        if len(found) > 1:
            raise EntryRefusedError(
                _("The name stands for %(students)s. Name the file by one student number.")
                % {"students": " + ".join(sorted(student.student_id for student in found))}
            )
        if not found:
            raise _nobody(self._course, _stem(entry))
        return found.pop()

    def _numbers(self, entry: Entry) -> list[str]:
        stem = _stem(entry)
        whole = stem in self._students or stem in self._taken
        return [stem if whole else _COUNTED.sub("", stem), *PurePosixPath(entry.name).parts[:-1]]


class NamedByList:
    """A table says which file shows whom. What it does not name is not used.

    Raises:
        ArchiveRefusedError: it is no table with the columns ``file`` and ``student_id``.
    """

    def __init__(self, course: Course, entries: Iterable[Entry], content: bytes) -> None:
        self._course = course
        self._students = _by_number(course)
        self._numbers = _numbers_by_file(_table(content))
        self._base_names = Counter(entry.base_name for entry in entries)
        self._used: set[str] = set()

    def student_on(self, entry: Entry) -> Student:
        """Who is on the picture.

        Raises:
            EntryRefusedError: the list does not say, or names two, or nobody of this course.
        """
        numbers = self._numbers_of(entry)
        if len(numbers) > 1:
            raise EntryRefusedError(
                _("The list gives this file to several students: %(numbers)s.")
                % {"numbers": ", ".join(sorted(numbers)[:5])}
            )
        number = next(iter(numbers))
        if number not in self._students:
            raise _nobody(self._course, number)
        return self._students[number]

    def not_in_the_zip(self) -> list[str]:
        """The files that the list names and nobody asked for."""
        return [name for name in self._numbers if name not in self._used]

    def _numbers_of(self, entry: Entry) -> set[str]:
        if entry.name in self._numbers:
            self._used.add(entry.name)
            return self._numbers[entry.name]
        if entry.base_name not in self._numbers:
            raise EntryRefusedError(_("The list does not name this file."))
        self._used.add(entry.base_name)
        if self._base_names[entry.base_name] > 1:
            raise EntryRefusedError(
                _("Several folders hold a file of this name. Write the folder into the list too.")
            )
        return self._numbers[entry.base_name]


def _by_number(course: Course) -> dict[str, Student]:
    return {
        unicodedata.normalize("NFC", student.student_id): student for student in class_list(course)
    }


def _stem(entry: Entry) -> str:
    return PurePosixPath(entry.name).stem.strip()


def _nobody(course: Course, number: str) -> EntryRefusedError:
    return EntryRefusedError(
        _("Nobody on the class list of %(course)s has the number “%(number)s”.")
        % {"course": course.code, "number": number[:100]}
    )


def _table(content: bytes) -> Table:
    try:
        table = read_table(content)
    except ValidationError as error:
        raise ArchiveRefusedError(_("The list: %s") % " ".join(error.messages)) from error
    names = [name.lower() for name in table.header]
    if any(names.count(column) != 1 for column in _LIST_COLUMNS):
        raise ArchiveRefusedError(
            _("The list has the columns %(got)s, expected %(expected)s.")
            % {"got": ", ".join(table.header)[:200], "expected": ", ".join(_LIST_COLUMNS)}
        )
    return table


def _numbers_by_file(table: Table) -> dict[str, set[str]]:
    names = [name.lower() for name in table.header]
    file_at, number_at = (names.index(column) for column in _LIST_COLUMNS)
    numbers = defaultdict(set)
    for _row, cells in table.rows:
        if cells[file_at]:
            file = cells[file_at].replace("\\", "/").removeprefix("./")
            number = unicodedata.normalize("NFC", cells[number_at])
            numbers[unicodedata.normalize("NFC", file)].add(number)
    return dict(numbers)

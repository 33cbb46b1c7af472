"""Who of a course can be recognised after an import, and what is missing for the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import tablib
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from recognition.cohort.models import PhotoImport, PhotoImportItem
from recognition.cohort.names import class_list
from recognition.models import FaceRegistration, StudentFace
from recognition.selectors import with_recognisability
from recognition.workers import active_model_id
from roster.formats import SafeCSV

Text = str | Promise

#: Code, sign, words; in the order in which a report tells them.
STANDINGS: dict[str, tuple[str, Text]] = {
    "ready": ("✓", gettext_lazy("can be recognised")),
    "in_work": ("…", gettext_lazy("the photo is not looked at yet")),
    "held": ("?", gettext_lazy("waits for the student’s consent")),
    "waiting": ("…", gettext_lazy("waits for approval")),
    "refused": ("✗", gettext_lazy("the photo could not be used")),
    "declined": ("✗", gettext_lazy("does not agree")),
    "no_photo": ("○", gettext_lazy("no photo")),
}


@dataclass(frozen=True, slots=True)
class Covered:
    """A student of the course, how they stand now, and what was wrong with photos of them."""

    student: StudentFace
    standing: str
    reasons: tuple[str, ...]

    @property
    def words(self) -> str:
        return str(STANDINGS[self.standing][1])


@dataclass(frozen=True, slots=True)
class StandingGroup:
    code: str
    sign: str
    words: Text
    rows: list[Covered]


def coverage_of(photo_import: PhotoImport) -> list[Covered]:
    """Everybody on the course's class list, by name."""
    students = StudentFace.objects.filter(
        pk__in=class_list(photo_import.course).values("pk")
    ).order_by("name", "student_id")
    held = set(
        FaceRegistration.objects.filter(
            status=FaceRegistration.Status.AWAITING_CONSENT
        ).values_list("student_id", flat=True)
    )
    in_work, reasons = _of_items(photo_import)
    rows = []
    for student in with_recognisability(students, model_id=active_model_id()):
        standing = student.recognisability  # type: ignore[attr-defined]
        if standing not in ("ready", "waiting", "declined"):
            standing = _on_the_way(student.pk, held=held, in_work=in_work, refused=reasons.keys())
        rows.append(Covered(student, standing, tuple(reasons.get(student.pk, ()))))
    return rows


def by_standing(rows: Sequence[Covered]) -> Iterator[StandingGroup]:
    for code, (sign, words) in STANDINGS.items():
        found = [row for row in rows if row.standing == code]
        if found:
            yield StandingGroup(code, sign, words, found)


def coverage_file(rows: Iterable[Covered]) -> bytes:
    """The report as CSV; cells that a spreadsheet would run are made text."""
    sheet = tablib.Dataset(headers=["student_id", "name", "recognition", "photos"])
    for row in rows:
        student = row.student
        sheet.append([student.student_id, student.name, row.words, "; ".join(row.reasons)])
    return SafeCSV().export_data(sheet)


def _on_the_way(
    student_pk: int, *, held: Iterable[int], in_work: Iterable[int], refused: Iterable[int]
) -> str:
    if student_pk in held:
        return "held"
    if student_pk in in_work:
        return "in_work"
    return "refused" if student_pk in refused else "no_photo"


def _of_items(photo_import: PhotoImport) -> tuple[set[int], dict[int, list[str]]]:
    """Whose pictures wait, and what was wrong with the refused ones, by student."""
    in_work = set()
    reasons = defaultdict(list)
    items = photo_import.items.exclude(student=None).only(
        "photo_import", "student", "state", "file_name", "verdict"
    )
    for item in items:
        assert item.student_id is not None  # noqa: S101
        if item.state == PhotoImportItem.State.WAITING:
            in_work.add(item.student_id)
        elif item.state == PhotoImportItem.State.REFUSED:
            reasons[item.student_id].append(f"{item.file_name}: {item.verdict}")
    return in_work, reasons


def in_words(photo_import: PhotoImport, *, done: int, total: int) -> str:
    """How far an import is."""
    if photo_import.status == PhotoImport.Status.RECEIVING:
        return _("The ZIP is being read: %(total)s files so far.") % {"total": f"{total:,}"}
    if photo_import.status == PhotoImport.Status.STOPPED:
        return _("Stopped; what was decided before stays")
    return _("%(done)s of %(total)s photos done") % {"done": f"{done:,}", "total": f"{total:,}"}

"""Reports as files: kept encrypted until they expire, given to those who may see them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import tablib
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from import_export.formats.base_formats import Format

from accounts.keyring import keyring
from accounts.models import User
from checkin.models import Report, ReportExport
from checkin.reports.selectors import EACH_SESSION, Column, Found
from roster.formats import SafeCSV, SafeXLSX
from roster.models import Course
from roster.selectors import SEE_EVERY_COURSE, courses_of

logger = logging.getLogger(__name__)

Kind = ReportExport.Kind
FORMATS: dict[Kind, type[Format]] = {Kind.CSV: SafeCSV, Kind.XLSX: SafeXLSX}
NAMES = {
    Report.SESSION: "StudentsAttendanceInfo",
    Report.COURSE: "CourseAttendanceInfo",
    Report.STUDENT: "StudentAttendanceInfo",
    Report.TERM: "TermAttendanceInfo",
}


class ExportUnreadableError(Exception):
    """The file cannot be decrypted; the text is for the person who wants it."""


def make_export(
    *, found: Found, subject: str, columns: list[Column], kind: str, user: User
) -> ReportExport:
    """Write the report as a file with these columns and keep it."""
    made_at = timezone.now()
    return keep_file(
        content=FORMATS[Kind(kind)]().export_data(table_of(found, columns)),
        report=found.report,
        subject=subject,
        kind=kind,
        file_name=file_name(found, made_at, kind),
        row_count=len(found.lines),
        courses=found.courses,
        user=user,
        made_at=made_at,
    )


@transaction.atomic
def keep_file(
    *,
    content: bytes,
    report: Report,
    subject: str,
    kind: str,
    file_name: str,
    row_count: int,
    courses: Iterable[Course],
    user: User | None,
    made_at: datetime,
) -> ReportExport:
    """Keep a file, encrypted, until it expires or somebody of these courses is erased."""
    export = ReportExport.objects.create(
        made_by=user,
        made_at=made_at,
        report=report,
        subject=subject,
        kind=kind,
        file_name=file_name,
        row_count=row_count,
        sealed_file=keyring().encrypt(content),
    )
    export.courses.set(courses)
    logger.info("export %s of a report was made for user %s", export.pk, user and user.pk)
    return export


def table_of(found: Found, columns: list[Column]) -> tablib.Dataset:
    """The cells of a file: statuses as codes, percentages as numbers."""
    header: list[str] = []
    for column in columns:
        if column.code == EACH_SESSION:
            header += [session.clock(session.starts_at) for session in found.sessions]
        else:
            header.append(str(column.label))
    table = tablib.Dataset(headers=header)
    for line in found.lines:
        table.append(_cells(line, columns))
    return table


def _cells(line: Any, columns: list[Column]) -> list[object]:
    cells: list[object] = []
    for column in columns:
        value = column.cell(line)
        if isinstance(value, list):
            cells += value
        elif isinstance(value, int | float):
            cells.append(value)
        else:
            cells.append("" if value is None else str(value))
    return cells


def file_name(found: Found, made_at: datetime, kind: str) -> str:
    """With the time at which it was made, by the course's clocks where there is one course."""
    zone = found.courses[0].zone if found.report in (Report.SESSION, Report.COURSE) else None
    return f"{NAMES[found.report]}_{timezone.localtime(made_at, zone):%Y_%m_%d_%H_%M_%S}.{kind}"


def exports_of(user: User, *, at: datetime) -> QuerySet[ReportExport]:
    """What this user may still download: own files of courses that they may still see."""
    kept = ReportExport.objects.filter(
        made_at__gt=at - timedelta(days=settings.EXPORT_RETENTION_DAYS)
    )
    if user.has_perm(SEE_EVERY_COURSE):
        return kept
    foreign = Course.objects.exclude(pk__in=courses_of(user).values("pk"))
    held = ReportExport.courses.through.objects.filter(
        reportexport=OuterRef("pk"), course__in=foreign
    )
    return kept.filter(~Exists(held), made_by=user)


def expires_at(export: ReportExport) -> datetime:
    return export.made_at + timedelta(days=settings.EXPORT_RETENTION_DAYS)


def content_of(export: ReportExport) -> bytes:
    """The file as it was made.

    Raises:
        ExportUnreadableError: its key is no longer among `TEMPLATE_KEYS`.
    """
    try:
        return keyring().decrypt(bytes(export.sealed_file))
    except InvalidToken as error:
        raise ExportUnreadableError(
            _("This file cannot be decrypted: its key is gone. Export the report again.")
        ) from error

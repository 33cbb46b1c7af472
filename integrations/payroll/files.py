"""A sheet as the bytes of a file, in the columns and formats of a profile."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

import tablib
from django.utils.functional import Promise
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from integrations.payroll.models import ExportProfile, StoredColumn
from integrations.payroll.selectors import Row, Sheet
from roster.formats import SafeXLSX, without_formula

FIXED = "fixed"
MAX_COLUMNS = 60
MAX_TEXT_LENGTH = 100
#: Acronyms of Moodle's own set of statuses.
MOODLE_STATUS = {"present": "P", "late": "L", "excused": "E", "absent": "A"}

Value = str | int | Decimal | None
Cell = Callable[[Row, ExportProfile], Value]


class UnwritableError(Exception):
    """No file was made; the text is for the person who wants it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a profile can have, and in which kinds of profile it makes sense."""

    label: str | Promise
    cell: Cell
    kinds: tuple[str, ...] = (ExportProfile.Kind.HOURS, ExportProfile.Kind.ATTENDANCE)


_HOURS = (ExportProfile.Kind.HOURS,)
_ATTENDANCE = (ExportProfile.Kind.ATTENDANCE,)


def hours_text(seconds: int, profile: ExportProfile) -> Value:
    """
    >>> profile = ExportProfile()
    >>> [str(hours_text(seconds, profile)) for seconds in (0, 27000, 28530)]
    ['0.00', '7.50', '7.93']
    >>> profile.hours_as = "clock"
    >>> hours_text(28530, profile)
    '7:56'
    """
    if profile.hours_as == ExportProfile.HoursAs.DECIMAL:
        hours = Decimal(seconds) / 3600
        return hours.quantize(Decimal("0.01"), ROUND_HALF_UP)
    minutes = (seconds + 30) // 60
    if profile.hours_as == ExportProfile.HoursAs.MINUTES:
        return minutes
    return f"{minutes // 60}:{minutes % 60:02}"


def _day(day: date | None, profile: ExportProfile) -> str:
    return f"{day:{profile.date_format}}" if day else ""


def _time(moment: datetime | None, profile: ExportProfile) -> str:
    return f"{moment:{profile.time_format}}" if moment else ""


def _moment(moment: datetime | None, profile: ExportProfile) -> str:
    return f"{_day(moment, profile)} {_time(moment, profile)}" if moment else ""


def _offset(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""


COLUMNS: Mapping[str, Column] = {
    "student_id": Column(gettext_lazy("number"), lambda row, _p: row.student.student_id),
    "name": Column(gettext_lazy("name"), lambda row, _p: row.student.name),
    "email": Column(gettext_lazy("e-mail"), lambda row, _p: row.student.email),
    "course": Column(
        gettext_lazy("course"), lambda row, _p: " + ".join(one.code for one in row.courses)
    ),
    "title": Column(
        gettext_lazy("title"), lambda row, _p: " + ".join(one.title for one in row.courses)
    ),
    "period_start": Column(
        gettext_lazy("first day of the period"), lambda row, p: _day(row.first_day, p)
    ),
    "period_end": Column(
        gettext_lazy("last day of the period"), lambda row, p: _day(row.last_day, p)
    ),
    "day": Column(gettext_lazy("day"), lambda row, p: _day(row.day, p)),
    "session": Column(gettext_lazy("start of the session"), lambda row, p: _moment(row.starts, p)),
    "arrived": Column(gettext_lazy("arrived (time)"), lambda row, p: _time(row.arrived, p)),
    "left": Column(gettext_lazy("left (time)"), lambda row, p: _time(row.left, p)),
    "arrived_at": Column(
        gettext_lazy("arrived (day and time)"), lambda row, p: _moment(row.arrived, p)
    ),
    "left_at": Column(gettext_lazy("left (day and time)"), lambda row, p: _moment(row.left, p)),
    "arrived_iso": Column(
        gettext_lazy("arrived (ISO 8601 with offset)"), lambda row, _p: _offset(row.arrived)
    ),
    "left_iso": Column(
        gettext_lazy("left (ISO 8601 with offset)"), lambda row, _p: _offset(row.left)
    ),
    "hours": Column(gettext_lazy("hours"), lambda row, p: hours_text(row.seconds, p), _HOURS),
    "break": Column(gettext_lazy("break"), lambda row, p: hours_text(row.break_s, p), _HOURS),
    "shifts": Column(gettext_lazy("shifts"), lambda row, _p: row.shift_count, _HOURS),
    "flags": Column(gettext_lazy("to look at"), lambda row, _p: " ".join(row.flags), _HOURS),
    "status": Column(gettext_lazy("status"), lambda row, _p: row.status, _ATTENDANCE),
    "moodle_status": Column(
        gettext_lazy("status (P, L, E, A)"),
        lambda row, _p: MOODLE_STATUS.get(row.status, ""),
        _ATTENDANCE,
    ),
}


def columns_for(kind: str) -> dict[str, Column]:
    return {code: column for code, column in COLUMNS.items() if kind in column.kinds}


def checked_columns(columns: Sequence[StoredColumn], kind: str) -> list[StoredColumn]:
    """The columns as they are kept.

    Raises:
        UnwritableError: there are none, too many, or one that this kind of file cannot have.
    """
    known = columns_for(kind)
    kept: list[StoredColumn] = []
    for column in columns:
        code, heading = str(column.get("code", "")), _one_line(column.get("heading", ""))
        if code != FIXED and code not in known:
            raise UnwritableError(
                _("There is no column “%(code)s” here. Choose one of the list.") % {"code": code}
            )
        stored: StoredColumn = {"code": code, "heading": heading}
        if code == FIXED:
            stored["text"] = _one_line(column.get("text", ""))
        kept.append(stored)
    if not kept:
        raise UnwritableError(_("Choose at least one column."))
    if len(kept) > MAX_COLUMNS:
        raise UnwritableError(
            _("A file has at most %(most)d columns, got %(got)d.")
            % {"most": MAX_COLUMNS, "got": len(kept)}
        )
    return kept


def _one_line(text: object) -> str:
    line = " ".join(str(text).replace("\0", "").split())
    if len(line) > MAX_TEXT_LENGTH:
        raise UnwritableError(
            _("“%(text)s…” is too long: a heading or text has at most %(most)d characters.")
            % {"text": line[:20], "most": MAX_TEXT_LENGTH}
        )
    return line


def headings(profile: ExportProfile) -> list[str]:
    return [
        without_formula(column["heading"] or str(_label(column["code"])))
        for column in profile.columns
    ]


def _label(code: str) -> str | Promise:
    return COLUMNS[code].label if code in COLUMNS else ""


def values_of(row: Row, profile: ExportProfile) -> list[Value]:
    """The cells of a line; text that a spreadsheet would run is made plain."""
    values: list[Value] = []
    for column in profile.columns:
        value: Value
        if column["code"] == FIXED:
            value = column["text"]
        else:
            value = COLUMNS[column["code"]].cell(row, profile)
        values.append(without_formula(value) if isinstance(value, str) else value)
    return values


def shown_values(row: Row, profile: ExportProfile) -> list[str]:
    """As a CSV file has them, for the preview."""
    return [_as_text(value, profile) for value in values_of(row, profile)]


def _as_text(value: Value, profile: ExportProfile) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return str(value).replace(".", profile.decimal_separator)
    return str(value)


def written(sheet: Sheet, profile: ExportProfile) -> bytes:
    """The file.

    Raises:
        UnwritableError: a character does not exist in the profile's encoding.
    """
    checked_columns(profile.columns, profile.kind)
    if profile.file_kind == "xlsx":
        return _xlsx(sheet, profile)
    return _csv(sheet, profile)


def _csv(sheet: Sheet, profile: ExportProfile) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(
        text,
        delimiter="\t" if profile.delimiter == ExportProfile.Delimiter.TAB else profile.delimiter,
        quoting=csv.QUOTE_ALL
        if profile.quoting == ExportProfile.Quoting.ALL
        else csv.QUOTE_MINIMAL,
        lineterminator="\r\n",
    )
    if profile.header:
        table.writerow(headings(profile))
    for row in sheet.rows:
        table.writerow(shown_values(row, profile))
    return _encoded(text.getvalue(), profile)


def _encoded(text: str, profile: ExportProfile) -> bytes:
    try:
        return text.encode(profile.encoding)
    except UnicodeEncodeError as error:
        raise UnwritableError(
            _(
                "Line %(line)d holds a character that %(encoding)s does not have. Choose UTF-8 in "
                "the profile."
            )
            % {
                "line": text.count("\n", 0, error.start) + 1,
                "encoding": profile.get_encoding_display(),
            }
        ) from error


def _xlsx(sheet: Sheet, profile: ExportProfile) -> bytes:
    """Hours are numbers there, whatever the separators of a text file."""
    # A sheet without headings: tablib writes its headers only where there are some.
    table = tablib.Dataset(headers=headings(profile) if profile.header else None)
    for row in sheet.rows:
        table.append(
            [float(one) if isinstance(one, Decimal) else one for one in values_of(row, profile)]
        )
    content: bytes = SafeXLSX().export_data(table)
    return content


def file_name(profile: ExportProfile, sheet: Sheet, *, schedule_pk: int | None = None) -> str:
    """It says what and of when, never of whom; a schedule's is its own."""
    name = slugify(profile.name)[:50] or "hours"
    own = "" if schedule_pk is None else f"-{schedule_pk}"
    return f"{name}{own}_{sheet.first_day}_{sheet.last_day}.{profile.file_kind}"

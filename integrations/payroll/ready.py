"""Profiles that everybody finds ready.

“Like” says what they are: the usual columns of such imports, under the usual headings. Each
institution's import is set up in its own way, so that headings, codes and order are adjusted in a
copy; nobody has certified any of them.
"""

from __future__ import annotations

from typing import Any

from integrations.payroll.models import ExportProfile, StoredColumn


def _columns(*columns: tuple[str, ...]) -> list[StoredColumn]:
    """Each is (code, heading), and for a fixed one its text."""
    return [
        {"code": code, "heading": heading, **({"text": text[0]} if text else {})}
        for code, heading, *text in columns
    ]


READY: dict[str, dict[str, Any]] = {
    "generic": {
        "name": "Payroll (generic)",
        "grouping": ExportProfile.Grouping.PERIOD,
        "columns": _columns(
            ("student_id", "employee_id"),
            ("name", "name"),
            ("period_start", "period_start"),
            ("period_end", "period_end"),
            ("hours", "hours"),
            ("break", "break_hours"),
            ("shifts", "shifts"),
            ("flags", "flags"),
        ),
    },
    "adp": {
        "name": "ADP-like",
        "grouping": ExportProfile.Grouping.PERIOD,
        "rounding": ExportProfile.RoundingMode.NEAREST,
        "rounding_step_min": 6,
        "rounding_level": ExportProfile.RoundingLevel.SHIFT,
        "encoding": ExportProfile.Encoding.UTF_8,
        "date_format": ExportProfile.DateFormat.US,
        "columns": _columns(
            ("fixed", "Co Code", "XXX"),
            ("fixed", "Batch ID", "ROLLCALL"),
            ("student_id", "File #"),
            ("hours", "Reg Hours"),
        ),
    },
    "workday": {
        "name": "Workday-like",
        "grouping": ExportProfile.Grouping.SHIFT,
        "encoding": ExportProfile.Encoding.UTF_8,
        "quoting": ExportProfile.Quoting.ALL,
        "columns": _columns(
            ("student_id", "Worker ID"),
            ("day", "Reported Date"),
            ("arrived_iso", "In Time"),
            ("left_iso", "Out Time"),
            ("fixed", "Time Entry Code", "REGULAR"),
            ("hours", "Quantity"),
            ("fixed", "Unit", "Hours"),
            ("course", "Cost Center"),
            ("flags", "Comment"),
        ),
    },
    "moodle": {
        "name": "Moodle attendance",
        "kind": ExportProfile.Kind.ATTENDANCE,
        "encoding": ExportProfile.Encoding.UTF_8,
        "columns": _columns(
            ("session", "sessiondate"),
            ("student_id", "idnumber"),
            ("moodle_status", "status"),
        ),
    },
    "hours_xlsx": {
        "name": "Hours by day (XLSX)",
        "grouping": ExportProfile.Grouping.DAY,
        "file_kind": "xlsx",
        "columns": _columns(
            ("student_id", "number"),
            ("name", "name"),
            ("day", "day"),
            ("arrived", "arrived"),
            ("left", "left"),
            ("break", "break"),
            ("hours", "hours"),
            ("course", "courses"),
            ("flags", "to look at"),
        ),
    },
}


def ensure_ready_profiles() -> None:
    """Add those that are not there; what somebody has made of one stays."""
    there = set(ExportProfile.objects.exclude(ready=None).values_list("ready", flat=True))
    for code, fields in READY.items():
        if code not in there:
            ExportProfile.objects.get_or_create(ready=code, defaults={"shared": True, **fields})

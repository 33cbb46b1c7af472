"""The forms of export profiles, previews and schedules."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from checkin.reports.forms import CourseTermForm
from integrations.payroll.files import COLUMNS, FIXED, UnwritableError, checked_columns
from integrations.payroll.models import ExportProfile, ExportSchedule, StoredColumn
from integrations.payroll.services import RefusedError, check_period, why_not_there
from roster.models import Course

EMPTY_ROWS = 4


class ColumnsWidget(forms.Widget):
    """A table of columns: which, its heading, its text if it is fixed, and its place.

    A line without a column is left out; the numbers say the order.
    """

    template_name = "admin/integrations/columns.html"

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        stored = list(value or [])
        rows = stored + [{"code": "", "heading": ""}] * EMPTY_ROWS
        context["widget"] |= {
            "rows": [
                {
                    "place": 10 * number,
                    "code": row["code"],
                    "heading": row["heading"],
                    "text": row.get("text", ""),
                }
                for number, row in enumerate(rows, 1)
            ],
            "choices": [
                *((code, str(column.label)) for code, column in COLUMNS.items()),
                (FIXED, _("a fixed text")),
            ],
        }
        return context

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[StoredColumn]:
        parts = [data.getlist(f"{name}-{part}") for part in ("code", "heading", "text", "place")]
        rows = [row for row in zip(*parts, strict=False) if row[0]]
        rows.sort(key=lambda row: int(row[3]) if row[3].isdecimal() else 0)
        return [
            {"code": code, "heading": heading, **({"text": text} if code == FIXED else {})}
            for code, heading, text, _place in rows
        ]

    def value_omitted_from_data(self, data: Any, files: Any, name: str) -> bool:
        return f"{name}-code" not in data

    def id_for_label(self, id_: str) -> str:
        return ""


class ColumnsField(forms.Field):
    widget = ColumnsWidget

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != list(data or [])


class ProfileForm(forms.ModelForm):
    columns = ColumnsField(
        label=_("Columns"),
        help_text=_(
            "In the order of their numbers. An empty heading is the column's own name; a line "
            "without a column is left out."
        ),
    )

    class Meta:
        model = ExportProfile
        exclude = ("ready", "owner")  # noqa: DJ006 -- all that a profile says is for its owner

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if "columns" in cleaned and cleaned.get("kind"):
            try:
                cleaned["columns"] = checked_columns(cleaned["columns"], cleaned["kind"])
            except UnwritableError as error:
                self.add_error("columns", str(error))
        return cleaned


class PeriodForm(CourseTermForm):
    """The days of a file, and one course of it or all."""

    def __init__(self, *args: Any, courses: QuerySet[Course], **kwargs: Any) -> None:
        super().__init__(*args, courses=courses, **kwargs)
        self.fields["since"].required = self.fields["until"].required = True

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until:
            try:
                check_period(since, until)
            except RefusedError as refusal:
                raise forms.ValidationError(str(refusal)) from refusal
        return cleaned


def month_before(today: date) -> tuple[date, date]:
    last = today.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last


def week_before(today: date) -> tuple[date, date]:
    monday = today - timedelta(days=today.weekday() + 7)
    return monday, monday + timedelta(days=6)


class ScheduleForm(forms.ModelForm):
    class Meta:
        model = ExportSchedule
        fields = (
            "profile",
            "active",
            "rhythm",
            "weekday",
            "month_day",
            "at",
            "timezone",
            "target",
            "place",
        )
        widgets = {"at": forms.TimeInput(format="%H:%M", attrs={"type": "time"})}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("target"):
            why_not = why_not_there(cleaned["target"], cleaned.get("place", ""))
            if why_not:
                self.add_error("place", why_not)
        return cleaned

"""What reports and the page of the own attendance are asked for in the address."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from checkin.reports.rates import Term
from roster.models import Course

EARLIEST, LATEST = date(1970, 1, 1), date(2999, 12, 31)
MIN_SESSIONS = 3


class DayField(forms.DateField):
    """A day that the browser's own calendar gives; empty for no bound."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=False,
            widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
            validators=[MinValueValidator(EARLIEST), MaxValueValidator(LATEST)],
            error_messages={
                "invalid": _("This is no day. Expected year, month and day, like 2026-03-02.")
            },
            **kwargs,
        )


class TermForm(forms.Form):
    since = DayField(label=_("From"))
    until = DayField(label=_("To"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            raise forms.ValidationError(
                _("“To” (%(until)s) lies before “From” (%(since)s). Change one of them."),
                params={"since": since, "until": until},
            )
        return cleaned

    @property
    def term(self) -> Term:
        """What was asked for; no bounds while something is wrong with it."""
        if not self.is_valid():
            return Term()
        return Term(since=self.cleaned_data["since"], until=self.cleaned_data["until"])


class CourseTermForm(TermForm):
    field_order = ["course", "since", "until"]

    course = forms.ModelChoiceField(
        label=_("Course"),
        queryset=Course.objects.none(),
        required=False,
        empty_label=_("All courses"),
        error_messages={"invalid_choice": _("This course is not among yours. Choose another.")},
    )

    def __init__(self, *args: Any, courses: QuerySet[Course], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.courses = courses
        self.fields["course"].queryset = courses  # type: ignore[attr-defined]

    @property
    def chosen(self) -> QuerySet[Course]:
        """The one course, or all of them."""
        course = self.cleaned_data["course"] if self.is_valid() else None
        return self.courses.filter(pk=course.pk) if course else self.courses


class WarnForm(CourseTermForm):
    field_order = ["course", "threshold", "min_sessions", "since", "until"]

    threshold = forms.IntegerField(
        label=_("Below (%)"),
        required=False,
        min_value=1,
        max_value=100,
        widget=forms.NumberInput(attrs={"placeholder": _("as required")}),
    )
    min_sessions = forms.IntegerField(
        label=_("Sessions at least"),
        required=False,
        min_value=1,
        max_value=999,
        widget=forms.NumberInput(attrs={"placeholder": MIN_SESSIONS}),
    )

    @property
    def typed_threshold(self) -> int | None:
        return self.cleaned_data["threshold"] if self.is_valid() else None

    @property
    def least(self) -> int:
        typed = self.cleaned_data["min_sessions"] if self.is_valid() else None
        return typed or MIN_SESSIONS

from __future__ import annotations

from typing import Any

from django import forms
from django.templatetags.static import static
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from import_export.forms import ConfirmImportForm, ImportForm

from accounts.models import User
from roster.models import ClassSession, Course
from roster.selectors import courses_of


def _file_help() -> str:
    return format_html(
        '{} <a href="{}" download>{}</a>',
        gettext("The columns are student_id, name and email."),
        static("roster/sample-class-list.csv"),
        gettext("Download a sample."),
    )


class _OfCourse(forms.Form):
    """The user's own courses only, in both steps: the second one comes from the browser again."""

    course = forms.ModelChoiceField(label=_("Course"), queryset=Course.objects.none())
    end_missing = forms.BooleanField(
        label=_("End-date students who are not in the file"),
        required=False,
        help_text=_("Otherwise they stay on the list. Nobody is deleted."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["course"].queryset = courses_of(user)  # type: ignore[attr-defined]


class ClassListImportForm(_OfCourse, ImportForm):
    field_order = ("resource", "course", "import_file", "format", "end_missing")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["import_file"].help_text = lazy(_file_help, str)()


class ConfirmClassListImportForm(_OfCourse, ConfirmImportForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("course", "end_missing"):
            self.fields[name].widget = forms.HiddenInput()


class ClassSessionForm(forms.ModelForm):
    """Times are typed and shown as the clocks of the course's time zone tell them."""

    TIMES = ("starts_at", "ends_at")

    class Meta:
        model = ClassSession
        fields = ("course", "room", "starts_at", "ends_at", "opens_early_min", "late_after_min")
        help_texts = {
            "starts_at": _("In the time zone of the course."),
            "ends_at": _("In the time zone of the course."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            for name in self.TIMES:
                moment = getattr(self.instance, name)
                self.initial[name] = timezone.make_naive(moment, self.instance.course.zone)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        course = cleaned.get("course")
        for name in self.TIMES:
            if course and (moment := cleaned.get(name)):
                typed = timezone.make_naive(moment)
                cleaned[name] = timezone.make_aware(typed, course.zone)
        return cleaned

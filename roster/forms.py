from __future__ import annotations

from typing import Any

from django import forms
from django.templatetags.static import static
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from import_export.forms import ConfirmImportForm, ImportForm

from accounts.models import User
from roster.models import Course
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

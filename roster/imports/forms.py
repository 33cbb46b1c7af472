"""The two steps of an import: a file is chosen and previewed, then confirmed."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _
from import_export.forms import ConfirmImportForm, ImportForm

from accounts.models import User
from roster.formats import MAX_FILE_BYTES
from roster.models import Course
from roster.selectors import courses_of


class _WithProgress(forms.Form):
    """Under this id the page asks how far the import is."""

    progress_id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4, required=False)


class RosterImportForm(_WithProgress, ImportForm):
    field_order = ("course", "import_file", "end_missing")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["format"].widget = forms.HiddenInput()
        self.initial["format"] = "0"
        self.fields["import_file"].label = _("File")
        self.fields["import_file"].widget.attrs |= {"accept": ".csv,.txt,.tsv,.xlsx", "class": ""}

    def clean_import_file(self) -> UploadedFile:
        file = self.cleaned_data["import_file"]
        if file.size > MAX_FILE_BYTES:
            raise forms.ValidationError(
                _("This file has %(got)s, and at most %(most)s are read. Divide it.")
                % {"got": filesizeformat(file.size), "most": filesizeformat(MAX_FILE_BYTES)}
            )
        return file


class ConfirmRosterImportForm(_WithProgress, ConfirmImportForm):
    only_good = forms.BooleanField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class _OfCourse(forms.Form):
    """The user's own courses only, in both steps: the second one comes from the browser again."""

    course = forms.ModelChoiceField(label=_("Course"), queryset=Course.objects.none())
    end_missing = forms.BooleanField(
        label=_("End-date students who are not in the file"),
        required=False,
        help_text=_("Otherwise they stay on the list. Nobody is deleted."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)  # type: ignore[call-arg]
        self.fields["course"].queryset = courses_of(user)  # type: ignore[attr-defined]


class ClassListImportForm(_OfCourse, RosterImportForm):
    pass


class ConfirmClassListImportForm(_OfCourse, ConfirmRosterImportForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("course", "end_missing"):
            self.fields[name].widget = forms.HiddenInput()

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from recognition.photos import MAX_PHOTOS, wrong_number_of_photos


class PhotosInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class PhotosField(forms.FileField):
    """1 to `MAX_PHOTOS` files. What they hold is checked by the engine, not by their names."""

    default_error_messages = {"required": _("Choose at least one picture.")}
    widget = PhotosInput(attrs={"accept": "image/jpeg,image/png,image/webp,image/heic,.heic,.heif"})

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = data or [None] if isinstance(data, list) else [data]
        cleaned = [super(PhotosField, self).clean(file, initial) for file in files]
        if len(cleaned) > MAX_PHOTOS:
            raise forms.ValidationError(wrong_number_of_photos(len(cleaned)))
        return cleaned


class PhotosForm(forms.Form):
    photos = PhotosField(label=_("Choose pictures"))


class EnrolmentForm(forms.Form):
    photos = PhotosField(
        label=_("Photos"),
        help_text=_("1 to 5 pictures of this person alone, looking into the camera."),
    )
    consent = forms.BooleanField(
        label=_("The student has consented in person, knowing the policy in force."),
        required=False,
    )

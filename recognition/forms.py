from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from recognition.services import MAX_PHOTOS


class PhotosInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class PhotosField(forms.FileField):
    """1 to `MAX_PHOTOS` files. What they hold is checked by the engine, not by their names."""

    widget = PhotosInput(attrs={"accept": "image/jpeg,image/png,image/webp"})

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = data or [None] if isinstance(data, list) else [data]
        cleaned = [super(PhotosField, self).clean(file, initial) for file in files]
        if len(cleaned) > MAX_PHOTOS:
            raise forms.ValidationError(
                _("Got %(count)d pictures, expected 1 to %(most)d."),
                params={"count": len(cleaned), "most": MAX_PHOTOS},
            )
        return cleaned


class EnrolmentForm(forms.Form):
    photos = PhotosField(
        label=_("Photos"),
        help_text=_("1 to 5 pictures of this person alone, looking into the camera."),
    )
    consent = forms.BooleanField(
        label=_("The student has consented in person, knowing the policy in force."),
        required=False,
    )

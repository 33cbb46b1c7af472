"""The form of a channel, at the desk and on the own page."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from integrations.notifications.channels import ChannelRefusedError, check
from integrations.notifications.models import NotificationChannel, Told
from integrations.notifications.selectors import tellable
from roster.selectors import courses_of


class ChannelForm(forms.ModelForm):
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        widget=forms.TextInput(attrs={"autocomplete": "off", "size": 60, "spellcheck": "false"}),
        help_text=_(
            "As Apprise writes it, like slack://… or mailtos://user:password@example.edu. It is "
            "kept encrypted and shown masked."
        ),
    )
    told = forms.MultipleChoiceField(label=_("What"), widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = NotificationChannel
        fields = ["name", "url", "told", "rhythm", "course"]

    #: Whose channel it is, or becomes. Set by the page for each request.
    user: User

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        owner = self.instance.owner if self.instance.owner_id else self.user
        if "told" in self.fields:
            told = cast(forms.MultipleChoiceField, self.fields["told"])
            told.choices = [(one.value, one.label) for one in tellable(owner)]
        if "course" in self.fields:
            cast(forms.ModelChoiceField, self.fields["course"]).queryset = courses_of(owner)
        if self.instance.pk and "url" in self.fields:
            self.fields["url"].required = False
            self.fields["url"].help_text = _("Empty: it stays as it is.")

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        if url:
            try:
                check(url)
            except ChannelRefusedError as error:
                raise forms.ValidationError(str(error)) from error
        return url

    def clean_told(self) -> list[str]:
        known = [one.value for one in Told]
        return sorted(self.cleaned_data["told"], key=known.index)


def form_for(user: User) -> type[ChannelForm]:
    """The form for this account."""
    return type("ChannelForm", (ChannelForm,), {"user": user})

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from accounts.roles import may_manage
from integrations.oauth.models import ApiClient
from integrations.oauth.scopes import SCOPES

#: Native apps listen on the device itself (RFC 8252, 7.3). `localhost` may be another machine.
LOOPBACK = ("127.0.0.1", "::1")


class ClientForm(forms.ModelForm):
    scopes = forms.MultipleChoiceField(
        label=_("May ask for"),
        choices=[(scope, f"{scope}") for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
    )
    redirect_uris = forms.CharField(
        label=_("Addresses to come back to"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_(
            "For apps: one in a line, exactly as the app sends it. With https://, or "
            "http://127.0.0.1 for an app on a device."
        ),
    )

    #: Who fills it in; set by the page.
    user: User

    class Meta:
        model = ApiClient
        fields = ["name", "kind", "scopes", "service_account"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scopes"].choices = [  # type: ignore[attr-defined]
            (scope, f"{scope}: {told}") for scope, told in SCOPES.items()
        ]
        if self.instance.pk:
            self.initial["redirect_uris"] = "\n".join(
                self.instance.application.redirect_uris.split()
            )
            self.fields["kind"].disabled = True

    def clean_service_account(self) -> User | None:
        """Nobody lets a client do more than they may themselves."""
        account: User | None = self.cleaned_data["service_account"]
        if account is not None and not may_manage(self.user, account):
            raise ValidationError(_("This account may do more than yours. Choose another."))
        return account

    def clean_redirect_uris(self) -> list[str]:
        addresses = self.cleaned_data["redirect_uris"].split()
        for address in addresses:
            _check_address(address)
        return addresses

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("kind") == ApiClient.Kind.MACHINE:
            if cleaned.get("service_account") is None and "service_account" in cleaned:
                self.add_error("service_account", _("Another system acts as an account."))
            cleaned["redirect_uris"] = []
        elif cleaned.get("kind"):
            cleaned["service_account"] = None
            if cleaned.get("redirect_uris") == []:
                self.add_error("redirect_uris", _("An app comes back to an address."))
        return cleaned


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  raises where it is none
    except ValueError:
        parts = urlsplit("")
    on_device = parts.scheme == "http" and parts.hostname in LOOPBACK
    if (parts.scheme == "https" or on_device) and parts.hostname and "#" not in address:
        return
    raise ValidationError(
        _("“%(address)s” is no address of this kind: https://…, or http://127.0.0.1/…"),
        params={"address": address},
    )

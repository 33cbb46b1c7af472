"""Other systems and apps that may ask for tokens, and when a token was last used."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class ApiClient(models.Model):
    """What the toolkit's application does not say: what for, as whom, and since when not.

    The toolkit keeps the secret, as a hash, and the addresses to which a code may go.
    """

    class Kind(models.TextChoices):
        MACHINE = "machine", _("another system, without a person")
        WEB_APP = "web_app", _("an app on a server, for people")
        NATIVE_APP = "native_app", _("an app on a device, for people")

    application = models.OneToOneField(
        "oauth2_provider.Application", on_delete=models.CASCADE, related_name="client"
    )
    name = models.CharField(
        _("name"), max_length=100, unique=True, help_text=_("People read it where they agree.")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    scopes = models.JSONField(_("may ask for"), default=list)
    service_account = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("acts as"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="api_clients",
        help_text=_(
            "For another system: an account with a role. It sees and changes what this account "
            "may. Give it an account of its own, without a password."
        ),
    )
    made_at = models.DateTimeField(_("made at"), default=timezone.now)
    disabled_at = models.DateTimeField(_("disabled at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("client of the API")
        verbose_name_plural = _("clients of the API")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind__in=["machine", "web_app", "native_app"]),
                name="integrations_client_kind_known",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_in_use(self) -> bool:
        """Whether it may get tokens, and those that it has count."""
        if self.disabled_at is not None:
            return False
        if self.kind != self.Kind.MACHINE:
            return True
        return self.service_account is not None and self.service_account.is_active


class TokenUse(models.Model):
    """When an access token was last used, to the minute."""

    token = models.OneToOneField(
        "oauth2_provider.AccessToken", on_delete=models.CASCADE, related_name="use"
    )
    last_used_at = models.DateTimeField(_("last used"))

    class Meta:
        verbose_name = _("use of a token")
        verbose_name_plural = _("uses of tokens")

    def __str__(self) -> str:
        return f"{self.token_id} {self.last_used_at:%Y-%m-%d %H:%M}"

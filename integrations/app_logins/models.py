"""Log-ins of the own apps and of the command line."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class AppLogin(models.Model):
    """One log-in with everything that was issued from it since. Ending it ends all of that."""

    key = models.UUIDField(unique=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("account"),
        on_delete=models.CASCADE,
        related_name="app_logins",
    )
    app = models.CharField(_("app"), max_length=100)
    second_factor = models.BooleanField(_("with a second factor"), default=False)
    made_at = models.DateTimeField(_("logged in at"), default=timezone.now)
    last_used_at = models.DateTimeField(_("last used"), default=timezone.now)
    expires_at = models.DateTimeField(_("runs out at"))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("log-in of an app")
        verbose_name_plural = _("log-ins of apps")
        ordering = ["-last_used_at", "-pk"]

    def __str__(self) -> str:
        return f"{self.user_id} {self.app} {self.made_at:%Y-%m-%d %H:%M}"

"""Passes that let in whoever shows them, and each time that one was accepted."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from roster.models import ClassSession, Student


class EntryPass(models.Model):
    """A one-time pass that was mailed. Only the hash of its code is kept, never the code."""

    class State(models.TextChoices):
        IN_FORCE = "in_force", _("in force")
        USED = "used", _("used")
        REVOKED = "revoked", _("revoked")
        EXPIRED = "expired", _("expired")

    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="entry_passes"
    )
    code_hash = models.CharField(max_length=64, unique=True, editable=False)
    issued_at = models.DateTimeField(_("issued at"), default=timezone.now)
    expires_at = models.DateTimeField(_("valid until"), db_index=True)
    used_at = models.DateTimeField(_("used at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    issued_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("issued by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Empty: the system, after the one before was used."),
    )

    class Meta:
        verbose_name = _("entry pass")
        verbose_name_plural = _("entry passes")
        ordering = ["-issued_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["student"],
                condition=Q(used_at=None, revoked_at=None),
                name="checkin_one_entry_pass_per_student",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("issued_at")),
                name="checkin_entry_pass_expires_after_issue",
            ),
            models.CheckConstraint(
                condition=Q(used_at=None) | Q(revoked_at=None),
                name="checkin_entry_pass_used_or_revoked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.issued_at:%Y-%m-%d %H:%M:%S}"

    def state(self, at: datetime) -> State:
        """What has become of it. One that had run out before a new one took its place, expired."""
        if self.used_at is not None:
            return self.State.USED
        if self.revoked_at is not None and self.revoked_at < self.expires_at:
            return self.State.REVOKED
        return self.State.EXPIRED if at >= self.expires_at else self.State.IN_FORCE


class PassUse(models.Model):
    """A code that was accepted. There is never a second row of one code: so it opens once."""

    class Kind(models.TextChoices):
        ONE_TIME = "one_time", _("mailed")
        ROTATING = "rotating", _("on the own page")

    code_hash = models.CharField(max_length=64, unique=True, editable=False)
    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="pass_uses"
    )
    entry_pass = models.OneToOneField(
        EntryPass,
        verbose_name=_("entry pass"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="use",
    )
    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="pass_uses",
        help_text=_("Empty where it opened no session, or could have been one of several."),
    )
    kiosk = models.ForeignKey(
        "checkin.Kiosk",
        verbose_name=_("kiosk"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="pass_uses",
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    at = models.DateTimeField(_("at"), db_index=True)

    class Meta:
        verbose_name = _("use of a pass")
        verbose_name_plural = _("uses of passes")
        ordering = ["-at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind="one_time", entry_pass__isnull=False)
                | Q(kind="rotating", entry_pass=None),
                name="checkin_pass_use_kind_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.kind} {self.at:%Y-%m-%d %H:%M:%S}"

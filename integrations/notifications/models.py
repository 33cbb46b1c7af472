"""Where people want to be told, and what is on its way there."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.events.models import OutboxMessage
from integrations.sealing import open_secret, seal_secret
from roster.models import Course


class Told(models.TextChoices):
    """What a channel can be told of."""

    ALERT = "alert", _("alerts: strangers, spoofs, wrong passes")
    WARNING = "warning", _("warnings of low attendance")
    SUMMARY = "summary", _("summaries of sessions when they are closed")


class NotificationChannel(models.Model):
    """An address of Apprise that is told what its owner may see, of one course or of all."""

    class Rhythm(models.TextChoices):
        AT_ONCE = "at_once", _("at once")
        DAILY = "daily", _("once a day")

    seal_id = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.CASCADE,
        related_name="+",
        editable=False,
    )
    name = models.CharField(_("name"), max_length=100)
    course = models.ForeignKey(
        Course,
        verbose_name=_("course"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        help_text=_("Empty: all courses that the owner may see."),
    )
    sealed_url = models.BinaryField(editable=False)
    shown = models.CharField(_("address"), max_length=200, editable=False)
    told = models.JSONField(_("what"), default=list)
    rhythm = models.CharField(_("how often"), max_length=8, choices=Rhythm, default=Rhythm.AT_ONCE)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    #: Events up to this position have become notifications.
    taken_until = models.BigIntegerField(default=0, editable=False)
    last_said = models.CharField(_("last answer"), max_length=200, blank=True, editable=False)
    last_sent_at = models.DateTimeField(_("last sent"), null=True, editable=False)

    class Meta:
        verbose_name = _("notification channel")
        verbose_name_plural = _("notification channels")
        ordering = ["name", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"], name="integrations_channel_name_once_per_owner"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def seal_url(self, url: str) -> None:
        self.sealed_url = seal_secret(url, owner=f"channel|{self.seal_id}")

    def url(self) -> str:
        """Raises `SecretUnreadableError`."""
        return open_secret(self.sealed_url, owner=f"channel|{self.seal_id}")


class Notification(models.Model):
    """One event on its way to one channel. It goes with its event, and so with the student."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        SENT = "sent", _("sent")
        GIVEN_UP = "given_up", _("given up")

    channel = models.ForeignKey(
        NotificationChannel, on_delete=models.CASCADE, related_name="notifications"
    )
    message = models.ForeignKey(OutboxMessage, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    due_at = models.DateTimeField(null=True)
    give_up_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("notification")
        verbose_name_plural = _("notifications")
        ordering = ["pk"]
        indexes = [
            models.Index(
                fields=["channel", "due_at"],
                condition=Q(state="waiting"),
                name="integrations_notification_due",
            )
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "message"], name="integrations_notification_once"
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", due_at__isnull=False)
                | Q(~Q(state="waiting"), due_at=None),
                name="integrations_notification_waits_or_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message_id} → {self.channel_id}"

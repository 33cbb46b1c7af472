"""Receivers of events, what is on its way to them, and how each try ended."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from integrations.events.models import OutboxMessage
from integrations.sealing import open_secret, seal_secret
from integrations.webhooks.signing import new_secret
from roster.models import Course

#: How long the secret before the last change still signs, beside the new one.
OVERLAP = timedelta(hours=24)


class WebhookEndpoint(models.Model):
    """An address of another system that is sent events. It is told what its owner may see."""

    class Reason(models.TextChoices):
        NONE = "", _("active")
        BY_HAND = "by_hand", _("switched off by hand")
        GONE = "gone", _("the receiver said that it is gone (410)")

    seal_id = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    name = models.CharField(_("name"), max_length=100, unique=True)
    url = models.URLField(_("address"), max_length=500)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        editable=False,
        help_text=_("It is told what this account may see."),
    )
    kinds = models.JSONField(_("events"), default=list, blank=True)
    courses = models.ManyToManyField(
        Course,
        verbose_name=_("courses"),
        blank=True,
        related_name="+",
        help_text=_("Only what happens in these. Empty: everything that the owner may see."),
    )
    sealed_secret = models.BinaryField(editable=False)
    sealed_previous_secret = models.BinaryField(default=b"", editable=False)
    previous_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    disabled_at = models.DateTimeField(_("switched off at"), null=True, editable=False)
    disabled_reason = models.CharField(
        _("why"), max_length=8, choices=Reason, blank=True, editable=False
    )
    #: Events up to this position have become deliveries.
    taken_until = models.BigIntegerField(default=0, editable=False)
    #: Nothing is sent before: the receiver has asked for it.
    quiet_until = models.DateTimeField(null=True, editable=False)
    #: When administrators last heard that deliveries were given up.
    given_up_told_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(disabled_at=None, disabled_reason="")
                | Q(~Q(disabled_reason=""), disabled_at__isnull=False),
                name="integrations_webhook_disabled_says_why",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:
        return self.disabled_at is None

    def is_quiet(self, at: datetime) -> bool:
        return self.quiet_until is not None and at < self.quiet_until

    def renew_secret(self, at: datetime) -> str:
        """Set a new secret, which the caller saves and shows; the old one signs for a while."""
        secret = new_secret()
        if self.sealed_secret:
            self.sealed_previous_secret = self.sealed_secret
            self.previous_until = at + OVERLAP
        self.sealed_secret = seal_secret(secret, owner=self._seal)
        return secret

    def secrets(self, at: datetime) -> list[str]:
        """Those that sign now, the newest first. Raises `SecretUnreadableError`."""
        valid = [open_secret(self.sealed_secret, owner=self._seal)]
        if self.previous_until is not None and at < self.previous_until:
            valid.append(open_secret(self.sealed_previous_secret, owner=self._seal))
        return valid

    @property
    def _seal(self) -> str:
        return f"webhook|{self.seal_id}"


class WebhookDelivery(models.Model):
    """One event on its way to one endpoint. It goes with its event, and so with the student."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        DELIVERED = "delivered", _("delivered")
        GIVEN_UP = "given_up", _("given up")
        WITHHELD = "withheld", _("not for the owner any more")

    endpoint = models.ForeignKey(
        WebhookEndpoint,
        verbose_name=_("webhook"),
        on_delete=models.CASCADE,
        related_name="deliveries",
    )
    message = models.ForeignKey(
        OutboxMessage, verbose_name=_("event"), on_delete=models.CASCADE, related_name="+"
    )
    state = models.CharField(_("state"), max_length=9, choices=State, default=State.WAITING)
    # Copied from the event: what is told of one student is told in this order.
    position = models.BigIntegerField()
    student_pk = models.BigIntegerField(null=True)
    queued_at = models.DateTimeField(_("queued at"), default=timezone.now)
    due_at = models.DateTimeField(_("next try"), null=True)
    give_up_at = models.DateTimeField()
    tries = models.PositiveIntegerField(_("tries"), default=0)
    ended_at = models.DateTimeField(_("ended at"), null=True)

    class Meta:
        verbose_name = _("delivery of a webhook")
        verbose_name_plural = _("deliveries of webhooks")
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["endpoint", "due_at"],
                condition=Q(state="waiting"),
                name="integrations_delivery_due",
            ),
            models.Index(
                fields=["endpoint", "student_pk", "position"],
                condition=Q(state="waiting"),
                name="integrations_delivery_order",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["endpoint", "message"], name="integrations_delivery_once"
            ),
            models.CheckConstraint(
                condition=Q(state="waiting", due_at__isnull=False, ended_at=None)
                | Q(~Q(state="waiting"), due_at=None, ended_at__isnull=False),
                name="integrations_delivery_waits_or_ended",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.message.kind} → {self.endpoint}"


class WebhookAttempt(models.Model):
    """One try: what the receiver answered, or why there was no answer."""

    delivery = models.ForeignKey(
        WebhookDelivery,
        verbose_name=_("delivery"),
        on_delete=models.CASCADE,
        related_name="attempts",
    )
    at = models.DateTimeField(_("at"), default=timezone.now, db_index=True)
    status = models.PositiveSmallIntegerField(_("status"), null=True)
    duration_ms = models.PositiveIntegerField(_("duration (ms)"), null=True)
    said = models.CharField(_("answer"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("try of a delivery")
        verbose_name_plural = _("tries of deliveries")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.delivery_id} {self.status}"

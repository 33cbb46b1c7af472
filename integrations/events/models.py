"""The outbox: what happened, in the order in which others are told of it."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from roster.models import Student


class OutboxMessage(models.Model):
    """One event. It is written with what it tells of, and gets its position after the commit.

    The course is no foreign key: a course that is deleted takes no events along, and nobody but
    those who see every course is told of them any more.
    """

    event_id = models.UUIDField(_("event"), default=uuid.uuid4, unique=True)
    # Null until the sequencer has seen the committed row.
    position = models.BigIntegerField(_("position"), null=True, unique=True)
    kind = models.CharField(_("kind"), max_length=64)
    version = models.PositiveSmallIntegerField(_("version"))
    occurred_at = models.DateTimeField(_("at"))
    kept_since = models.DateTimeField(default=timezone.now, db_index=True)
    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        null=True,
        related_name="+",
    )
    course_pk = models.BigIntegerField(null=True)
    payload = models.JSONField(_("payload"))
    # Named where several processes may publish the same event.
    once = models.CharField(max_length=200, null=True, unique=True)  # noqa: DJ001

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["position", "pk"]
        indexes = [
            models.Index(fields=["course_pk", "position"], name="integrations_outbox_course"),
            models.Index(fields=["id"], condition=Q(position=None), name="integrations_outbox_new"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"


class OutboxHead(models.Model):
    """The last position that was given, and the last whose events may have expired: one row."""

    position = models.BigIntegerField(default=0)
    expired_until = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="integrations_one_head")]

    def __str__(self) -> str:
        return str(self.position)

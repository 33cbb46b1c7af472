"""Answers to writes, kept so that a repeated request is answered and not carried out again."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from roster.models import Student


class KeptAnswer(models.Model):
    """What was answered to one `Idempotency-Key` of one client.

    The key is stored as a hash, the answer is encrypted: it may name a student.
    """

    client = models.CharField(max_length=64)
    key_hash = models.CharField(max_length=64)
    #: Of method, address and body: the same key for something else is a mistake of the client.
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    sealed_body = models.BinaryField(default=bytes)
    etag = models.CharField(max_length=80, blank=True)
    student = models.ForeignKey(
        Student, on_delete=models.CASCADE, null=True, related_name="kept_answers"
    )
    at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        verbose_name = _("kept answer of the API")
        verbose_name_plural = _("kept answers of the API")
        constraints = [
            models.UniqueConstraint(
                fields=["client", "key_hash"], name="integrations_answer_once_per_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.client} {self.status} {self.at:%Y-%m-%d %H:%M:%S}"

"""Consent to biometrics and the templates that it allows."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.engine.types import Embedding
from recognition.sealing import open_vector
from roster.models import Student


class Consent(models.Model):
    """A student's word that their face may be used, in which version of the policy, and its end."""

    class GivenVia(models.TextChoices):
        IN_PERSON = "in_person", _("in person")
        WEB = "web", _("on the web page")

    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="consents"
    )
    policy_version = models.CharField(_("policy version"), max_length=32)
    given_via = models.CharField(_("given"), max_length=16, choices=GivenVia)
    given_at = models.DateTimeField(_("given at"), default=timezone.now)
    recorded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("recorded by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    withdrawn_at = models.DateTimeField(_("withdrawn at"), null=True, blank=True)

    class Meta:
        verbose_name = _("consent")
        verbose_name_plural = _("consents")
        ordering = ["-given_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["student"],
                condition=Q(withdrawn_at__isnull=True),
                name="recognition_one_consent_in_force",
            ),
            models.CheckConstraint(
                condition=Q(given_via__in=["in_person", "web"]),
                name="recognition_consent_given_via_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.policy_version}"


class FaceTemplate(models.Model):
    """The encrypted embedding of one student, made by one model. Rows are never rewritten.

    A new enrolment revokes the row in force and adds another, so a gallery that holds the same
    ids holds the same vectors.
    """

    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="face_templates"
    )
    model_id = models.CharField(_("model"), max_length=64)
    sealed_vector = models.BinaryField(_("encrypted vector"), editable=False)
    photo_count = models.PositiveSmallIntegerField(_("photos"))
    agreement = models.FloatField(
        _("agreement"),
        null=True,
        help_text=_("Smallest cosine similarity between two of the photos; empty for one photo."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("created by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)

    class Meta:
        verbose_name = _("face template")
        verbose_name_plural = _("face templates")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["student", "model_id"],
                condition=Q(revoked_at__isnull=True),
                name="recognition_one_template_in_force",
            )
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.model_id}"

    def vector(self) -> Embedding:
        """The decrypted embedding, ``(d,)`` float32; raises `TemplateUnreadableError`."""
        return open_vector(
            bytes(self.sealed_vector), student_pk=self.student_id, model_id=self.model_id
        )


class StudentFace(Student):
    """A student seen from recognition's side: can they be recognised, and if not, why."""

    class Meta:
        proxy = True
        verbose_name = _("student's face")
        verbose_name_plural = _("students' faces")

"""What a student questions of their attendance, and what was said not to be theirs."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from checkin.models import AttendanceChange, CheckinAttempt
from recognition.engine.types import Embedding
from recognition.models import FaceMistake, FaceTemplate
from recognition.sealing import open_vector
from roster.models import ClassSession, Student

MAX_TEXT_LENGTH = 1000
MAX_ANSWER_LENGTH = 300


class Appeal(models.Model):
    """A question about what is recorded of one student in one session, and its answer.

    It is asked by the student in words, or opened by a "not me".
    """

    class Status(models.TextChoices):
        OPEN = "open", _("open")
        ACCEPTED = "accepted", _("accepted")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")

    class Kind(models.TextChoices):
        QUESTION = "question", _("question")
        NOT_ME = "not_me", _("“not me”")

    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.CASCADE,
        related_name="appeals",
    )
    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="appeals"
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    text = models.TextField(_("what is wrong"), max_length=MAX_TEXT_LENGTH, blank=True)
    status = models.CharField(_("state"), max_length=9, choices=Status, default=Status.OPEN)
    opened_at = models.DateTimeField(_("opened at"), default=timezone.now)
    decided_at = models.DateTimeField(_("decided at"), null=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("decided by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    answer = models.CharField(_("answer"), max_length=MAX_ANSWER_LENGTH, blank=True)

    class Meta:
        verbose_name = _("appeal")
        verbose_name_plural = _("appeals")
        ordering = ["opened_at", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["session", "student"],
                condition=Q(status="open"),
                name="checkin_one_open_appeal_per_record",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["open", "accepted", "refused", "withdrawn"]),
                name="checkin_appeal_status_known",
            ),
            models.CheckConstraint(
                condition=Q(kind="not_me") | Q(~Q(text=""), kind="question"),
                name="checkin_appeal_says_what_is_wrong",
            ),
            models.CheckConstraint(
                condition=Q(status="open", decided_at=None)
                | Q(~Q(status="open"), decided_at__isnull=False),
                name="checkin_appeal_decided_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status="refused", answer=""), name="checkin_appeal_refused_has_answer"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.student_id} {self.status}"

    @property
    def is_open(self) -> bool:
        return self.status == self.Status.OPEN


class Disowning(models.Model):
    """One "not me": which check-in it was, what it changed, and the pair that it stored.

    The attempt goes after some weeks and the pair with its template; that it was said stays.
    """

    appeal = models.ForeignKey(
        Appeal, verbose_name=_("appeal"), on_delete=models.CASCADE, related_name="disownings"
    )
    attempt = models.OneToOneField(
        CheckinAttempt,
        verbose_name=_("check-in attempt"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="disowning",
    )
    change = models.OneToOneField(
        AttendanceChange,
        verbose_name=_("change"),
        on_delete=models.CASCADE,
        null=True,
        related_name="disowning",
    )
    mistake = models.OneToOneField(
        FaceMistake,
        verbose_name=_("mistaken face"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="disowning",
    )
    at = models.DateTimeField(_("at"), default=timezone.now)
    at_kiosk = models.BooleanField(_("at the kiosk"))

    class Meta:
        verbose_name = _("“not me”")
        verbose_name_plural = _("“not me”")
        ordering = ["at", "pk"]

    def __str__(self) -> str:
        return f"{self.appeal_id} {self.at:%Y-%m-%d %H:%M:%S}"


class KeptProbe(models.Model):
    """The encrypted embedding of a face that was recognised, until nobody can say "not me".

    It goes with the template: so a withdrawn consent takes it along.
    """

    attempt = models.OneToOneField(
        CheckinAttempt,
        verbose_name=_("check-in attempt"),
        on_delete=models.CASCADE,
        related_name="probe",
    )
    template = models.ForeignKey(
        FaceTemplate, verbose_name=_("face template"), on_delete=models.CASCADE, related_name="+"
    )
    model_id = models.CharField(_("model"), max_length=64)
    sealed_vector = models.BinaryField(_("encrypted vector"), editable=False)
    expires_at = models.DateTimeField(_("expires at"), db_index=True)

    class Meta:
        verbose_name = _("kept probe")
        verbose_name_plural = _("kept probes")
        ordering = ["expires_at", "pk"]

    def __str__(self) -> str:
        return f"{self.attempt_id} {self.expires_at:%Y-%m-%d %H:%M:%S}"

    def vector(self) -> Embedding:
        """The decrypted embedding, ``(d,)`` float32; raises `TemplateUnreadableError`."""
        return open_vector(
            bytes(self.sealed_vector),
            student_pk=self.template.student_id,
            model_id=self.model_id,
        )

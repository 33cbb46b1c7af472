"""Who wants to be told of entries, up to when it was told, and who was asked to register again."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from roster.models import Course, Student


class HowOften(models.TextChoices):
    """When somebody is told. The own entry at once, others' entries gathered."""

    NEVER = "never", _("never")
    AT_ONCE = "at_once", _("at once")
    SOON = "soon", _("every quarter of an hour")
    DAILY = "daily", _("once a day")


class NoticeChoice(models.Model):
    """What an account wants to be told: of its own entries, or of everybody's in a course.

    Without a row it is told nothing.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("account"),
        on_delete=models.CASCADE,
        related_name="notice_choices",
    )
    course = models.ForeignKey(
        Course,
        verbose_name=_("course"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="notice_choices",
        help_text=_("Empty: it is about the own entries, in every course."),
    )
    how_often = models.CharField(_("how often"), max_length=8, choices=HowOften)
    chosen_at = models.DateTimeField(_("chosen at"), default=timezone.now)

    class Meta:
        verbose_name = _("choice of notices of entry")
        verbose_name_plural = _("choices of notices of entry")
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(course=None),
                name="checkin_notice_choice_once_on_own_entries",
            ),
            models.UniqueConstraint(
                fields=["user", "course"], name="checkin_notice_choice_once_per_course"
            ),
            models.CheckConstraint(
                condition=Q(course=None, how_often__in=["never", "at_once", "daily"])
                | Q(course__isnull=False, how_often__in=["never", "soon", "daily"]),
                name="checkin_notice_choice_how_often_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.course_id or 'own'} {self.how_often}"


class DigestMarker(models.Model):
    """Up to which moment the entries in courses of a time zone have been told."""

    zone = models.CharField(_("time zone"), max_length=64)
    how_often = models.CharField(_("how often"), max_length=8, choices=HowOften)
    told_until = models.DateTimeField(_("told until"))

    class Meta:
        verbose_name = _("marker of told entries")
        verbose_name_plural = _("markers of told entries")
        constraints = [
            models.UniqueConstraint(
                fields=["zone", "how_often"], name="checkin_digest_marker_once_per_zone"
            ),
            models.CheckConstraint(
                condition=Q(how_often__in=["soon", "daily"]),
                name="checkin_digest_marker_how_often_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.zone} {self.how_often} {self.told_until:%Y-%m-%d %H:%M}"


class RecognitionInvitation(models.Model):
    """A mail that asked a student to register the face again, and the figures behind it."""

    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        related_name="recognition_invitations",
    )
    came = models.PositiveIntegerField(_("times come"))
    without_face = models.PositiveIntegerField(_("of them without the face"))
    mistaken = models.PositiveIntegerField(_("recognised wrongly"))
    accepted = models.PositiveIntegerField(_("times recognised"))
    barely = models.PositiveIntegerField(_("of them barely"))
    sent_at = models.DateTimeField(_("sent at"), default=timezone.now)
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("sent by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )

    class Meta:
        verbose_name = _("invitation to register the face again")
        verbose_name_plural = _("failing recognition")
        ordering = ["-sent_at", "-pk"]
        indexes = [
            models.Index(fields=["student", "-sent_at"], name="checkin_invitation_sent"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(without_face__lte=models.F("came"), barely__lte=models.F("accepted")),
                name="checkin_invitation_figures_fit",
            )
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.sent_at:%Y-%m-%d}"

"""Kiosks, attendance and the attempts that led to it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.models import FaceTemplate
from roster.models import ClassSession, Course, Room, Student


class Outcome(models.TextChoices):
    """How an attempt ended. The codes are stable; texts for the kiosk are in `checkin.texts`."""

    PRESENT = "present", _("present")
    LATE = "late", _("late")
    ALREADY = "already", _("already recorded")
    CHECKED_OUT = "checked_out", _("checked out")
    SECOND_FACTOR = "second_factor", _("pass needed")
    UNKNOWN = "unknown", _("not recognised")
    AMBIGUOUS = "ambiguous", _("too close to call")
    SPOOF = "spoof", _("not proven live")
    NOT_ENROLLED = "not_enrolled", _("not in this class")
    SESSION_CLOSED = "session_closed", _("session closed")
    ERROR = "error", _("error")


class Kiosk(models.Model):
    """A device that may take attendance in a room or for some courses."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    room = models.ForeignKey(
        Room,
        verbose_name=_("room"),
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="kiosks",
        help_text=_("Serves whatever session is open in this room."),
    )
    courses = models.ManyToManyField(
        Course,
        verbose_name=_("courses"),
        blank=True,
        related_name="kiosks",
        help_text=_("Serves these courses wherever they meet."),
    )
    # Null until a token is issued: unlike an empty text, it may stand in several rows.
    token_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("kiosk")
        verbose_name_plural = _("kiosks")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Attendance(models.Model):
    """One student in one session: there is never a second row."""

    class Status(models.TextChoices):
        PRESENT = "present", _("present")
        LATE = "late", _("late")
        EXCUSED = "excused", _("excused")
        ABSENT = "absent", _("absent")

    class Method(models.TextChoices):
        FACE = "face", _("face")
        PASS = "pass", _("pass")
        PHOTO = "photo", _("class photo")
        MANUAL = "manual", _("by hand")

    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.CASCADE,
        related_name="attendance",
    )
    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="attendance"
    )
    status = models.CharField(_("status"), max_length=8, choices=Status)
    method = models.CharField(_("method"), max_length=8, choices=Method)
    arrived_at = models.DateTimeField(_("arrived at"), null=True, blank=True)
    left_at = models.DateTimeField(_("left at"), null=True, blank=True)
    kiosk = models.ForeignKey(
        Kiosk,
        verbose_name=_("kiosk"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="attendance",
    )

    class Meta:
        verbose_name = _("attendance")
        verbose_name_plural = _("attendance")
        ordering = ["-arrived_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["session", "student"], name="checkin_attendance_once_per_session"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["present", "late", "excused", "absent"]),
                name="checkin_attendance_status_known",
            ),
            models.CheckConstraint(
                condition=Q(method__in=["face", "pass", "photo", "manual"]),
                name="checkin_attendance_method_known",
            ),
            models.CheckConstraint(
                condition=Q(arrived_at__isnull=False) | ~Q(status__in=["present", "late"]),
                name="checkin_attendance_present_has_arrival",
            ),
            models.CheckConstraint(
                condition=Q(left_at__isnull=True) | Q(left_at__gte=models.F("arrived_at")),
                name="checkin_attendance_leaves_after_arrival",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.session_id} {self.status}"


class CheckinAttempt(models.Model):
    """One decision of a kiosk and the figures behind it. No picture is kept."""

    at = models.DateTimeField(_("at"), default=timezone.now, db_index=True)
    kiosk = models.ForeignKey(
        Kiosk, verbose_name=_("kiosk"), on_delete=models.CASCADE, related_name="attempts"
    )
    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="attempts",
    )
    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="attempts",
        help_text=_("Only where somebody was identified; a refusal names nobody."),
    )
    template = models.ForeignKey(
        FaceTemplate, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    outcome = models.CharField(_("outcome"), max_length=16, choices=Outcome)
    reason = models.CharField(_("reason"), max_length=32, blank=True)
    model_id = models.CharField(_("model"), max_length=64, blank=True)
    gallery_size = models.PositiveIntegerField(_("gallery size"), default=0)
    similarity = models.FloatField(_("similarity"), null=True, blank=True)
    runner_up = models.FloatField(_("runner-up's similarity"), null=True, blank=True)
    threshold = models.FloatField(_("threshold"), null=True, blank=True)
    liveness = models.JSONField(_("liveness trace"), default=dict, blank=True)

    class Meta:
        verbose_name = _("check-in attempt")
        verbose_name_plural = _("check-in attempts")
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["session", "-at"], name="checkin_attempt_session_at")]
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome__in=[value for value, _label in Outcome.choices]),
                name="checkin_attempt_outcome_known",
            )
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.outcome}"

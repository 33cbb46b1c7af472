"""Kiosks, attendance and the attempts that led to it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import languages
from recognition.models import FaceTemplate
from roster.models import ClassSession, Course, Room, Student

MINUTE = timedelta(minutes=1)


class Outcome(models.TextChoices):
    """How an attempt ended. The codes are stable; texts for the kiosk are in `checkin.texts`."""

    PRESENT = "present", _("present")
    LATE = "late", _("late")
    ALREADY = "already", _("already recorded")
    CHECKED_OUT = "checked_out", _("checked out")
    SECOND_FACTOR = "second_factor", _("pass needed")
    DENIED = "denied", _("denied after wrong passes")
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
    language = models.CharField(
        _("language"),
        max_length=10,
        choices=languages,
        blank=True,
        help_text=_("Of the screen. Left open: what its browser asks for. The screen can switch."),
    )
    # Null until a token is issued: unlike an empty text, it may stand in several rows.
    token_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001
    # The token before, which is let in as long as the device has not got the new one.
    old_token_hash = models.CharField(max_length=64, unique=True, null=True, editable=False)  # noqa: DJ001
    old_token_until = models.DateTimeField(_("old token until"), null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(_("last seen"), null=True, blank=True, editable=False)
    # How it was when it was last seen, see checkin.kiosks.health.
    frames_per_s = models.FloatField(_("frames a second"), null=True, editable=False)
    frame_age_ms = models.PositiveIntegerField(_("age of frames"), null=True, editable=False)
    brightness = models.FloatField(_("light"), null=True, editable=False)
    camera = models.CharField(_("camera"), max_length=16, blank=True, editable=False)
    app_version = models.CharField(_("version"), max_length=32, blank=True, editable=False)
    last_error = models.CharField(_("last error"), max_length=32, blank=True, editable=False)
    last_error_at = models.DateTimeField(_("last error at"), null=True, editable=False)

    class Meta:
        verbose_name = _("kiosk")
        verbose_name_plural = _("kiosks")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(old_token_hash=None, old_token_until=None)
                | Q(old_token_hash__isnull=False, old_token_until__isnull=False),
                name="checkin_kiosk_old_token_ends",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PairingCode(models.Model):
    """A code by which a device becomes a kiosk: once, and within minutes. Kept as a keyed hash."""

    kiosk = models.OneToOneField(
        Kiosk, verbose_name=_("kiosk"), on_delete=models.CASCADE, related_name="pairing_code"
    )
    code_hash = models.CharField(max_length=64, unique=True)
    made_at = models.DateTimeField(_("made at"), default=timezone.now)
    expires_at = models.DateTimeField(_("expires at"), db_index=True)

    class Meta:
        verbose_name = _("pairing code")
        verbose_name_plural = _("pairing codes")
        ordering = ["expires_at", "pk"]

    def __str__(self) -> str:
        return f"{self.kiosk_id} {self.expires_at:%Y-%m-%d %H:%M:%S}"


class JobRun(models.Model):
    """When a daily job last ended, so that somebody notices that it does not run."""

    class Job(models.TextChoices):
        RETENTION = "retention", _("deleting what is past its time")

    job = models.CharField(_("job"), max_length=16, choices=Job, unique=True)
    ended_at = models.DateTimeField(_("ended at"))

    class Meta:
        verbose_name = _("run of a job")
        verbose_name_plural = _("runs of jobs")
        ordering = ["job"]
        constraints = [
            models.CheckConstraint(
                condition=Q(job__in=["retention"]), name="checkin_job_run_job_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.ended_at:%Y-%m-%d %H:%M:%S}"


class Attendance(models.Model):
    """One student in one session: there is never a second row."""

    class Status(models.TextChoices):
        PRESENT = "present", _("present")
        LATE = "late", _("late")
        EXCUSED = "excused", _("excused")
        ABSENT = "absent", _("absent")

    class Method(models.TextChoices):
        FACE = "face", _("face")
        FACE_AND_PASS = "face_pass", _("face and pass")
        PASS = "pass", _("pass")
        PHOTO = "photo", _("class photo")
        MANUAL = "manual", _("by hand")
        CLOSING = "closing", _("at the close")

    class Reason(models.TextChoices):
        SHORT_STAY = "short_stay", _("stayed too short")

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
    method = models.CharField(_("method"), max_length=16, choices=Method)
    reason = models.CharField(_("reason"), max_length=16, choices=Reason, blank=True)
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
        indexes = [models.Index(fields=["arrived_at"], name="checkin_attendance_arrived")]
        constraints = [
            models.UniqueConstraint(
                fields=["session", "student"], name="checkin_attendance_once_per_session"
            ),
            models.CheckConstraint(
                condition=Q(status__in=["present", "late", "excused", "absent"]),
                name="checkin_attendance_status_known",
            ),
            models.CheckConstraint(
                condition=Q(method__in=["face", "face_pass", "pass", "photo", "manual", "closing"]),
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

    @property
    def minutes_late(self) -> int:
        """Whole minutes after the start, for who is late."""
        if self.status != self.Status.LATE or self.arrived_at is None:
            return 0
        return max(self.arrived_at - self.session.starts_at, timedelta(0)) // MINUTE

    @property
    def minutes_attended(self) -> int | None:
        """Whole minutes of the session, from arriving to checking out; None without both."""
        if self.arrived_at is None or self.left_at is None:
            return None
        arrived = max(self.arrived_at, self.session.starts_at)
        left = min(self.left_at, self.session.ends_at)
        return max(left - arrived, timedelta(0)) // MINUTE


class CheckinAttempt(models.Model):
    """One decision of a kiosk and the figures behind it. No picture is kept."""

    at = models.DateTimeField(_("at"), default=timezone.now, db_index=True)
    kiosk = models.ForeignKey(
        Kiosk,
        verbose_name=_("kiosk"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="attempts",
        help_text=_("Empty where it was the student's own device."),
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
        help_text=_(
            "Only where somebody was identified or logged in; else a refusal names nobody."
        ),
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


class Report(models.TextChoices):
    """What a report is about."""

    SESSION = "session", _("session")
    STUDENT = "student", _("student")
    COURSE = "course", _("course")
    TERM = "term", _("term")
    #: Its columns are those of an export profile, see `integrations.payroll`.
    HOURS = "hours", _("working hours")


#: The kinds whose columns each user chooses.
WITH_COLUMNS = [choice for choice in Report.choices if choice[0] != Report.HOURS]


class ReportColumns(models.Model):
    """The columns that somebody wants in one kind of report, in their order."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("account"),
        on_delete=models.CASCADE,
        related_name="report_columns",
    )
    report = models.CharField(_("report"), max_length=8, choices=WITH_COLUMNS)
    columns = models.JSONField(_("columns"))

    class Meta:
        verbose_name = _("columns of a report")
        verbose_name_plural = _("columns of reports")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "report"], name="checkin_report_columns_once_per_user"
            ),
            models.CheckConstraint(
                condition=Q(report__in=["session", "student", "course", "term"]),
                name="checkin_report_columns_report_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.report}"


class ReportExport(models.Model):
    """A file as it was made, encrypted, for those who may still see all of its courses."""

    class Kind(models.TextChoices):
        CSV = "csv", "CSV"
        XLSX = "xlsx", "XLSX"

    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("made by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    made_at = models.DateTimeField(_("made at"), default=timezone.now, db_index=True)
    report = models.CharField(_("report"), max_length=8, choices=Report)
    subject = models.CharField(_("of"), max_length=300)
    kind = models.CharField(_("kind of file"), max_length=4, choices=Kind)
    file_name = models.CharField(_("file"), max_length=100)
    row_count = models.PositiveIntegerField(_("rows"))
    courses = models.ManyToManyField(Course, verbose_name=_("courses"), related_name="+")
    sealed_file = models.BinaryField()

    class Meta:
        verbose_name = _("export of a report")
        verbose_name_plural = _("exports of reports")
        ordering = ["-made_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(report__in=["session", "student", "course", "term", "hours"]),
                name="checkin_report_export_report_known",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["csv", "xlsx"]), name="checkin_report_export_kind_known"
            ),
        ]

    def __str__(self) -> str:
        return self.file_name


class AttendanceWarning(models.Model):
    """A mail to a student whose attendance was too low, and the figures that it told."""

    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        related_name="attendance_warnings",
    )
    course = models.ForeignKey(
        Course,
        verbose_name=_("course"),
        on_delete=models.CASCADE,
        related_name="attendance_warnings",
    )
    threshold = models.PositiveSmallIntegerField(_("required (%)"))
    attended = models.PositiveIntegerField(_("attended"))
    counted = models.PositiveIntegerField(_("sessions that count"))
    sent_at = models.DateTimeField(_("sent at"), default=timezone.now)
    sent_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("sent by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )

    class Meta:
        verbose_name = _("warning of low attendance")
        verbose_name_plural = _("warnings of low attendance")
        ordering = ["-sent_at", "-pk"]
        indexes = [
            models.Index(fields=["course", "-sent_at"], name="checkin_warning_course_sent"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold__range=(1, 100)), name="checkin_warning_threshold_per_cent"
            )
        ]

    def __str__(self) -> str:
        return f"{self.student_id} {self.course_id} {self.threshold}"


class AttendanceChange(models.Model):
    """One change by hand: who, when, what stood there before and after. Rows are never edited.

    The states are as `checkin.marking` writes them; null means that there was no attendance row.
    """

    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.CASCADE,
        related_name="attendance_changes",
    )
    student = models.ForeignKey(
        Student,
        verbose_name=_("student"),
        on_delete=models.CASCADE,
        related_name="attendance_changes",
    )
    at = models.DateTimeField(_("at"))
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    before = models.JSONField(_("before"), null=True)
    after = models.JSONField(_("after"), null=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)
    undoes = models.OneToOneField(
        "self",
        verbose_name=_("undoes"),
        on_delete=models.CASCADE,
        null=True,
        related_name="undone_by",
    )

    class Meta:
        verbose_name = _("change by hand")
        verbose_name_plural = _("changes by hand")
        ordering = ["-at", "-pk"]
        indexes = [models.Index(fields=["session", "student"], name="checkin_change_of_whom")]

    def __str__(self) -> str:
        return f"{self.session_id} {self.student_id} {self.at:%Y-%m-%d %H:%M:%S}"


class SessionClosing(models.Model):
    """One closing of a session, and its reopening where there was one."""

    session = models.ForeignKey(
        ClassSession,
        verbose_name=_("class session"),
        on_delete=models.CASCADE,
        related_name="closings",
    )
    closed_at = models.DateTimeField(_("closed at"))
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("closed by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    absences = models.PositiveIntegerField(_("absences written"), default=0)
    short_stays = models.PositiveIntegerField(_("stays too short"), default=0)
    reopened_at = models.DateTimeField(_("reopened at"), null=True)
    reopened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("reopened by"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    reason = models.CharField(_("reason for reopening"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("closing of a session")
        verbose_name_plural = _("closings of sessions")
        ordering = ["-closed_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["session"],
                condition=Q(reopened_at=None),
                name="checkin_one_closing_in_force_per_session",
            ),
            models.CheckConstraint(
                condition=Q(reopened_at=None, reason="")
                | Q(~Q(reason=""), reopened_at__isnull=False),
                name="checkin_reopening_has_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.session_id} {self.closed_at:%Y-%m-%d %H:%M:%S}"


# Only so that Django finds them: they are used from their own module.
from checkin.alerts.models import Alert  # noqa: E402, F401
from checkin.appeals.models import Appeal, Disowning, KeptProbe  # noqa: E402, F401
from checkin.class_photo.models import ClassPhoto  # noqa: E402, F401
from checkin.notices.models import (  # noqa: E402
    DigestMarker,  # noqa: F401
    NoticeChoice,  # noqa: F401
    RecognitionInvitation,  # noqa: F401
)
from checkin.passes.models import EntryPass, PassUse  # noqa: E402, F401

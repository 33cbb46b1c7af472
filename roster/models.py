"""Students, courses and the sessions that are held."""

from __future__ import annotations

import ipaddress
import zoneinfo
from datetime import date, datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

MAX_OPENS_EARLY_MIN = 240


def validate_time_zone(name: str) -> None:
    if name not in zoneinfo.available_timezones():
        raise ValidationError(
            _("“%(name)s” is no time zone. Use a name like Europe/Berlin or Asia/Shanghai."),
            params={"name": name},
        )


def validate_networks(text: str) -> None:
    """One address range in a line, like 10.1.0.0/16 or 2001:db8::/32; a single address is one."""
    for line in text.split():
        try:
            ipaddress.ip_network(line)
        except ValueError:
            raise ValidationError(
                _(
                    "“%(line)s” is no network. Write one range in a line, like 10.1.0.0/16 or "
                    "2001:db8::/32, without bits behind the slash's length."
                ),
                params={"line": line},
            ) from None


class EntryPolicy(models.TextChoices):
    """What proves at a kiosk who somebody is."""

    FACE = "face", _("face")
    FACE_AND_PASS = "face_and_pass", _("face and pass")
    FACE_OR_PASS = "face_or_pass", _("face or pass")


class LivenessPolicy(models.TextChoices):
    """What proves to a camera that a living person stands there."""

    BLINK = "blink", _("one blink")
    CHALLENGE = "challenge", _("two random actions")
    STRICT = "strict", _("three random actions")


class Room(models.Model):
    name = models.CharField(_("name"), max_length=100, unique=True)

    class Meta:
        verbose_name = _("room")
        verbose_name_plural = _("rooms")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Student(models.Model):
    """A person on the roster, with or without a login of their own."""

    student_id = models.CharField(
        _("student number"),
        max_length=64,
        unique=True,
        help_text=_("As the institution writes it; the key for imports."),
    )
    name = models.CharField(_("name"), max_length=200)
    email = models.EmailField(_("e-mail"), blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("account"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="student",
    )

    class Meta:
        verbose_name = _("student")
        verbose_name_plural = _("students")
        ordering = ["name", "student_id"]
        constraints = [
            models.CheckConstraint(condition=~Q(student_id=""), name="roster_student_id_not_empty")
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.student_id})"


class RosterClaim(models.Model):
    """An account's word that a student on the roster is theirs, for a lecturer to decide.

    Needed only where the roster does not know the account's e-mail address.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting")
        APPROVED = "approved", _("approved")
        REJECTED = "rejected", _("rejected")

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("account"),
        on_delete=models.CASCADE,
        related_name="roster_claims",
    )
    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="claims"
    )
    status = models.CharField(_("status"), max_length=8, choices=Status, default=Status.WAITING)
    made_at = models.DateTimeField(_("made at"), default=timezone.now)
    decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("decided by"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )

    class Meta:
        verbose_name = _("claim to a student number")
        verbose_name_plural = _("claims to student numbers")
        ordering = ["-made_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(status="waiting"),
                name="roster_one_waiting_claim_per_account",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["waiting", "approved", "rejected"]),
                name="roster_claim_status_known",
            ),
            models.CheckConstraint(
                condition=Q(status="waiting", decided_at=None)
                | Q(~Q(status="waiting"), decided_at__isnull=False),
                name="roster_claim_decided_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} {self.student_id}"


class Course(models.Model):
    class ShownName(models.TextChoices):
        FULL = "full", _("full name")
        SHORT = "short", _("first name and initial")

    class AlertsTo(models.TextChoices):
        NOBODY = "nobody", _("nobody")
        LECTURERS = "lecturers", _("its lecturers")
        STAFF = "staff", _("everybody who works at the desk")
        REGISTERED = "registered", _("everybody on the class list and its lecturers")

    class EntryNotices(models.TextChoices):
        NOBODY = "nobody", _("nobody")
        STUDENT = "student", _("the student")
        LECTURERS = "lecturers", _("the student and the lecturers")
        REGISTERED = "registered", _("everybody on the class list and its lecturers")

    code = models.CharField(_("code"), max_length=32, unique=True)
    title = models.CharField(_("title"), max_length=200)
    lecturers = models.ManyToManyField(
        settings.AUTH_USER_MODEL, verbose_name=_("lecturers"), blank=True, related_name="courses"
    )
    students = models.ManyToManyField(
        Student, through="CourseEnrolment", related_name="courses", verbose_name=_("students")
    )
    timezone = models.CharField(
        _("time zone"),
        max_length=64,
        default=timezone.get_default_timezone_name,
        validators=[validate_time_zone],
    )
    shown_name = models.CharField(
        _("name on the kiosk"),
        max_length=8,
        choices=ShownName,
        default=ShownName.FULL,
        help_text=_("What everybody at the door can read when somebody checks in."),
    )
    required_percentage = models.PositiveSmallIntegerField(
        _("required attendance (%)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("How much of the sessions a student must attend. Empty: there is no rule."),
    )
    opens_early_min = models.PositiveSmallIntegerField(
        _("opens early (minutes)"),
        default=15,
        validators=[MaxValueValidator(MAX_OPENS_EARLY_MIN)],
        help_text=_("How long before the start. For new sessions."),
    )
    late_after_min = models.PositiveSmallIntegerField(
        _("late after (minutes)"),
        default=10,
        help_text=_("Who comes later than this after the start is late. For new sessions."),
    )
    check_out = models.BooleanField(
        _("check-out"),
        default=False,
        help_text=_("A second scan writes the time of leaving. For new sessions."),
    )
    min_stay_min = models.PositiveSmallIntegerField(
        _("shortest stay (minutes)"),
        default=5,
        help_text=_("A second scan within this time after the first checks nobody out."),
    )
    present_from_percent = models.PositiveSmallIntegerField(
        # xgettext:no-python-format
        _("present from (% of the session)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_(
            "With check-out: whose stay was shorter becomes absent when the session is closed. "
            "Empty: there is no rule."
        ),
    )
    entry_policy = models.CharField(
        _("entry by"),
        max_length=16,
        choices=EntryPolicy,
        default=EntryPolicy.FACE_OR_PASS,
        help_text=_(
            "With “face” alone, the lecturer marks those who gave no consent to face recognition."
        ),
    )
    liveness = models.CharField(
        _("proof of life"),
        max_length=16,
        choices=LivenessPolicy,
        default=LivenessPolicy.CHALLENGE,
        help_text=_(
            "Asked of everybody before the camera. One blink is quicker; actions that nobody can "
            "foresee keep out recorded videos too."
        ),
    )
    own_device = models.BooleanField(
        _("check-in from the own device"),
        default=False,
        help_text=_("With the camera of the student's phone or computer, during a session."),
    )
    own_device_networks = models.TextField(
        _("only from these networks"),
        blank=True,
        max_length=2000,
        validators=[validate_networks],
        help_text=_("For the own device: one address range in a line. Empty: from everywhere."),
    )
    alerts_to = models.CharField(
        _("alerts of strangers to"),
        max_length=16,
        choices=AlertsTo,
        default=AlertsTo.LECTURERS,
        help_text=_("Mails with a picture of a live face that is nobody of the class."),
    )
    entry_notices_to = models.CharField(
        _("notices of entry to"),
        max_length=16,
        choices=EntryNotices,
        default=EntryNotices.STUDENT,
        help_text=_("Only those are told who want to be: everybody chooses for themselves."),
    )
    appeal_days = models.PositiveSmallIntegerField(
        _("appeals within (days)"),
        null=True,
        blank=True,
        default=7,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text=_("How long after a session a student may question it. Empty: not at all."),
    )
    locks_after_days = models.PositiveSmallIntegerField(
        _("records locked after (days)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text=_("After it nobody marks or reopens a session. Empty: never."),
    )

    class Meta:
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        ordering = ["code"]
        permissions = [("see_every_course", _("Can see every course and student"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(shown_name__in=["full", "short"]), name="roster_course_shown_name_known"
            ),
            models.CheckConstraint(
                condition=Q(required_percentage=None) | Q(required_percentage__range=(1, 100)),
                name="roster_course_required_percentage_is_one",
            ),
            models.CheckConstraint(
                condition=Q(opens_early_min__lte=MAX_OPENS_EARLY_MIN),
                name="roster_course_opens_early_bounded",
            ),
            models.CheckConstraint(
                condition=Q(present_from_percent=None) | Q(present_from_percent__range=(1, 100)),
                name="roster_course_present_from_is_a_percentage",
            ),
            models.CheckConstraint(
                condition=Q(entry_policy__in=["face", "face_and_pass", "face_or_pass"]),
                name="roster_course_entry_policy_known",
            ),
            models.CheckConstraint(
                condition=Q(liveness__in=["blink", "challenge", "strict"]),
                name="roster_course_liveness_known",
            ),
            models.CheckConstraint(
                condition=Q(alerts_to__in=["nobody", "lecturers", "staff", "registered"]),
                name="roster_course_alerts_to_known",
            ),
            models.CheckConstraint(
                condition=Q(entry_notices_to__in=["nobody", "student", "lecturers", "registered"]),
                name="roster_course_entry_notices_to_known",
            ),
            models.CheckConstraint(
                condition=Q(appeal_days=None) | Q(appeal_days__range=(1, 365)),
                name="roster_course_appeal_days_bounded",
            ),
            models.CheckConstraint(
                condition=Q(locks_after_days=None) | Q(locks_after_days__range=(1, 3650)),
                name="roster_course_locks_after_days_bounded",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.title}"

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        return zoneinfo.ZoneInfo(self.timezone)


class CourseEnrolment(models.Model):
    """A student's place on a class list. Who leaves is end-dated, never deleted."""

    course = models.ForeignKey(
        Course, verbose_name=_("course"), on_delete=models.CASCADE, related_name="enrolments"
    )
    student = models.ForeignKey(
        Student, verbose_name=_("student"), on_delete=models.CASCADE, related_name="enrolments"
    )
    joined_on = models.DateField(_("joined on"), default=timezone.localdate)
    left_on = models.DateField(
        _("left on"), null=True, blank=True, help_text=_("The first day without them.")
    )

    class Meta:
        verbose_name = _("place on a class list")
        verbose_name_plural = _("class lists")
        ordering = ["course", "student"]
        constraints = [
            models.UniqueConstraint(
                fields=["course", "student"],
                name="roster_enrolment_once",
                violation_error_message=_("This student is on the class list already."),
            ),
            models.CheckConstraint(
                condition=Q(left_on__isnull=True) | Q(left_on__gte=F("joined_on")),
                name="roster_enrolment_leaves_after_joining",
                violation_error_message=_("The leaving date lies before the joining date."),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.student} · {self.course.code}"


class Holiday(models.Model):
    """Days on which weekly series hold no session, of one course or of all."""

    name = models.CharField(_("name"), max_length=100)
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    course = models.ForeignKey(
        Course,
        verbose_name=_("course"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="holidays",
        help_text=_("Empty: for all courses."),
    )

    class Meta:
        verbose_name = _("holiday")
        verbose_name_plural = _("holidays")
        ordering = ["-first_day"]
        constraints = [
            models.CheckConstraint(
                condition=Q(last_day__gte=F("first_day")),
                name="roster_holiday_ends_after_start",
                violation_error_message=_("The last day lies before the first."),
            )
        ]

    def __str__(self) -> str:
        return self.name


class SessionSeries(models.Model):
    """Meetings of a course on the same weekdays, at the same time on the course's clocks."""

    class Weekday(models.TextChoices):
        MONDAY = "MO", _("Monday")
        TUESDAY = "TU", _("Tuesday")
        WEDNESDAY = "WE", _("Wednesday")
        THURSDAY = "TH", _("Thursday")
        FRIDAY = "FR", _("Friday")
        SATURDAY = "SA", _("Saturday")
        SUNDAY = "SU", _("Sunday")

    course = models.ForeignKey(
        Course, verbose_name=_("course"), on_delete=models.CASCADE, related_name="series"
    )
    room = models.ForeignKey(
        Room,
        verbose_name=_("room"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    weekdays = models.JSONField(_("weekdays"))
    start_time = models.TimeField(_("from"))
    end_time = models.TimeField(_("to"))
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    interval_weeks = models.PositiveSmallIntegerField(
        _("every … weeks"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(52)],
        help_text=_("1 for every week, 2 for every other week."),
    )
    left_out = models.JSONField(
        default=list, editable=False, help_text=_("Days whose session somebody deleted.")
    )

    class Meta:
        verbose_name = _("weekly series")
        verbose_name_plural = _("weekly series")
        ordering = ["course", "first_day", "start_time"]
        constraints = [
            models.CheckConstraint(
                condition=Q(end_time__gt=F("start_time")),
                name="roster_series_ends_after_start",
                violation_error_message=_("The session ends before it starts."),
            ),
            models.CheckConstraint(
                condition=Q(last_day__gte=F("first_day")),
                name="roster_series_last_day_after_first",
                violation_error_message=_("The last day lies before the first."),
            ),
            models.CheckConstraint(
                condition=Q(interval_weeks__range=(1, 52)), name="roster_series_interval_bounded"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.course.code} {self.days} {self.start_time:%H:%M}–{self.end_time:%H:%M}"

    @property
    def days(self) -> str:
        """The weekdays in words, in the order of the week."""
        return ", ".join(
            str(label) for code, label in self.Weekday.choices if code in self.weekdays
        )


class ClassSession(models.Model):
    """One meeting of a course, open from shortly before its start until it ends or is closed."""

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        OPEN = "open", _("open")
        CLOSED = "closed", _("closed")

    course = models.ForeignKey(
        Course, verbose_name=_("course"), on_delete=models.CASCADE, related_name="sessions"
    )
    room = models.ForeignKey(
        Room,
        verbose_name=_("room"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="sessions",
    )
    starts_at = models.DateTimeField(_("starts at"))
    ends_at = models.DateTimeField(_("ends at"))
    opens_early_min = models.PositiveSmallIntegerField(
        _("opens early (minutes)"),
        default=15,
        validators=[MaxValueValidator(MAX_OPENS_EARLY_MIN)],
        help_text=_("How long before the start."),
    )
    late_after_min = models.PositiveSmallIntegerField(
        _("late after (minutes)"),
        default=10,
        help_text=_("Who comes later than this after the start is late."),
    )
    check_out = models.BooleanField(
        _("check-out"), default=False, help_text=_("A second scan writes the time of leaving.")
    )
    own_entry_policy = models.CharField(
        _("entry by"),
        max_length=16,
        choices=EntryPolicy,
        blank=True,
        help_text=_("Empty: as the course has it."),
    )
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)
    reopened_until = models.DateTimeField(
        _("reopened until"), null=True, blank=True, editable=False
    )
    series = models.ForeignKey(
        SessionSeries,
        verbose_name=_("weekly series"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="sessions",
    )
    # The day that the series gave it, also after somebody moved the session.
    series_day = models.DateField(null=True, editable=False)
    changed_by_hand = models.BooleanField(default=False, editable=False)

    class Meta:
        verbose_name = _("class session")
        verbose_name_plural = _("class sessions")
        ordering = ["-starts_at"]
        indexes = [models.Index(fields=["room", "starts_at"], name="roster_session_room_start")]
        constraints = [
            models.UniqueConstraint(
                fields=["series", "series_day"], name="roster_session_once_per_day_of_series"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="roster_session_ends_after_start",
                violation_error_message=_("The session ends before it starts."),
            ),
            models.CheckConstraint(
                condition=Q(opens_early_min__lte=MAX_OPENS_EARLY_MIN),
                name="roster_session_opens_early_bounded",
            ),
            models.CheckConstraint(
                condition=Q(own_entry_policy__in=["", "face", "face_and_pass", "face_or_pass"]),
                name="roster_session_entry_policy_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.course.code} {self.clock(self.starts_at)}"

    def clock(self, moment: datetime) -> str:
        """Day and time of a moment as the course's time zone tells them."""
        return f"{timezone.localtime(moment, self.course.zone):%Y-%m-%d %H:%M}"

    @property
    def opens_at(self) -> datetime:
        return self.starts_at - timedelta(minutes=self.opens_early_min)

    @property
    def late_from(self) -> datetime:
        return self.starts_at + timedelta(minutes=self.late_after_min)

    @property
    def closes_at(self) -> datetime:
        """When the clock closes it: at its end, or later if it was opened again until then."""
        return max(self.ends_at, self.reopened_until or self.ends_at)

    @property
    def entry_policy(self) -> EntryPolicy:
        """Its own, or else the course's."""
        return EntryPolicy(self.own_entry_policy or self.course.entry_policy)

    @property
    def day(self) -> date:
        """The day to which all of it belongs, also after midnight: that of its start."""
        return timezone.localtime(self.starts_at, self.course.zone).date()

    def is_locked(self, at: datetime) -> bool:
        """Whether its records can no longer be changed by hand."""
        return self.is_locked_by_its_course(at) or self.period_lock() is not None

    def is_locked_by_its_course(self, at: datetime) -> bool:
        days = self.course.locks_after_days
        return days is not None and at >= self.ends_at + timedelta(days=days)

    def period_lock(self) -> PeriodLock | None:
        """The lock in force on its day, of its course or of the whole institution."""
        return PeriodLock.on(self.course, self.day)

    @property
    def held_until(self) -> datetime:
        """Its end, or the moment before at which it was closed."""
        return min(self.ends_at, max(self.closed_at or self.ends_at, self.starts_at))

    def is_open(self, at: datetime) -> bool:
        return self.closed_at is None and self.opens_at <= at < self.closes_at

    def state(self, at: datetime) -> State:
        if self.is_open(at):
            return self.State.OPEN
        if self.closed_at is None and at < self.opens_at:
            return self.State.PLANNED
        return self.State.CLOSED


class PeriodLock(models.Model):
    """Days of which no attendance is changed any more: they were paid, or reported.

    A day is that of the course's clocks, and a session belongs to the day on which it starts.
    Rows are never edited, but for the unlocking, and never deleted before their time.
    """

    course = models.ForeignKey(
        Course,
        verbose_name=_("course"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="period_locks",
        help_text=_("Empty: all courses."),
    )
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    reason = models.CharField(
        _("reason"), max_length=300, help_text=_("Kept with the lock, like “paid in March”.")
    )
    locked_at = models.DateTimeField(_("locked at"), default=timezone.now, editable=False)
    locked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("locked by"),
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    unlocked_at = models.DateTimeField(_("unlocked at"), null=True, editable=False)
    unlocked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("unlocked by"),
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    unlock_reason = models.CharField(
        _("reason for unlocking"), max_length=300, blank=True, editable=False
    )

    class Meta:
        verbose_name = _("locked period")
        verbose_name_plural = _("locked periods")
        ordering = ["-first_day", "-pk"]
        indexes = [models.Index(fields=["last_day"], name="roster_period_lock_last_day")]
        constraints = [
            models.CheckConstraint(
                condition=Q(last_day__gte=F("first_day")),
                name="roster_period_lock_ends_after_start",
                violation_error_message=_("The last day lies before the first."),
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="roster_period_lock_has_a_reason"),
            models.CheckConstraint(
                condition=Q(unlocked_at=None, unlock_reason="")
                | Q(~Q(unlock_reason=""), unlocked_at__isnull=False),
                name="roster_period_unlock_has_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_day} – {self.last_day}"

    @classmethod
    def on(cls, course: Course, day: date) -> PeriodLock | None:
        """The lock in force on a day of a course, of the course or of the institution."""
        return cls.objects.filter(
            Q(course=None) | Q(course=course.pk),
            first_day__lte=day,
            last_day__gte=day,
            unlocked_at=None,
        ).first()

"""Students, courses and the sessions that are held."""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
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


class Course(models.Model):
    class ShownName(models.TextChoices):
        FULL = "full", _("full name")
        SHORT = "short", _("first name and initial")

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

    class Meta:
        verbose_name = _("course")
        verbose_name_plural = _("courses")
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                condition=Q(shown_name__in=["full", "short"]), name="roster_course_shown_name_known"
            )
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
        verbose_name = _("course enrolment")
        verbose_name_plural = _("course enrolments")
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


class ClassSession(models.Model):
    """One meeting of a course, open from shortly before its start until it ends or is closed."""

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
    closed_at = models.DateTimeField(_("closed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("class session")
        verbose_name_plural = _("class sessions")
        ordering = ["-starts_at"]
        indexes = [models.Index(fields=["room", "starts_at"], name="roster_session_room_start")]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")),
                name="roster_session_ends_after_start",
                violation_error_message=_("The session ends before it starts."),
            ),
            models.CheckConstraint(
                condition=Q(opens_early_min__lte=MAX_OPENS_EARLY_MIN),
                name="roster_session_opens_early_bounded",
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

    def is_open(self, at: datetime) -> bool:
        return self.closed_at is None and self.opens_at <= at < self.ends_at

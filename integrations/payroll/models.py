"""Export profiles, when their files are sent where, and what came of it."""

from __future__ import annotations

import uuid
from datetime import time
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from checkin.models import ReportExport
from integrations.payroll.hours import BreakRule, Level, Mode, Rounding
from roster.models import Course, validate_time_zone

STEPS_MIN = (1, 5, 6, 15)


class ExportProfile(models.Model):
    """How a file for another system looks: its columns, formats and rules."""

    class Kind(models.TextChoices):
        HOURS = "hours", _("working hours")
        ATTENDANCE = "attendance", _("attendance, one line per student and session")

    class Grouping(models.TextChoices):
        SHIFT = "shift", _("one line per shift")
        DAY = "day", _("one line per person and day")
        PERIOD = "period", _("one line per person")

    class RoundingMode(models.TextChoices):
        NONE = "none", _("not rounded")
        NEAREST = "nearest", _("to the nearest step, a half up")
        UP = "up", _("up")
        DOWN = "down", _("down")

    class RoundingLevel(models.TextChoices):
        SHIFT = "shift", _("each shift")
        DAY = "day", _("each person's day")
        PERIOD = "period", _("each person's sum")

    class HoursAs(models.TextChoices):
        DECIMAL = "decimal", _("decimal hours, 7.50")
        CLOCK = "clock", _("hours and minutes, 7:30")
        MINUTES = "minutes", _("minutes, 450")

    class DateFormat(models.TextChoices):
        ISO = "%Y-%m-%d", "2026-03-29"
        US = "%m/%d/%Y", "03/29/2026"
        UK = "%d/%m/%Y", "29/03/2026"
        GERMAN = "%d.%m.%Y", "29.03.2026"
        COMPACT = "%Y%m%d", "20260329"

    class TimeFormat(models.TextChoices):
        MINUTES = "%H:%M", "16:05"
        SECONDS = "%H:%M:%S", "16:05:00"
        TWELVE = "%I:%M %p", "04:05 PM"

    class Delimiter(models.TextChoices):
        COMMA = ",", _("comma")
        SEMICOLON = ";", _("semicolon")
        TAB = "tab", _("tabulator")
        BAR = "|", _("vertical bar")

    class DecimalSeparator(models.TextChoices):
        POINT = ".", _("point")
        COMMA = ",", _("comma")

    class Encoding(models.TextChoices):
        UTF_8_SIG = "utf-8-sig", _("UTF-8 with byte order mark, for spreadsheets")
        UTF_8 = "utf-8", "UTF-8"
        UTF_16 = "utf-16", "UTF-16"
        CP1252 = "cp1252", _("Windows-1252 (Western Europe)")

    class Quoting(models.TextChoices):
        MINIMAL = "minimal", _("only where needed")
        ALL = "all", _("every value")

    name = models.CharField(_("name"), max_length=100)
    #: Which of the ready ones it is, see `integrations.payroll.ready`.
    ready = models.CharField(max_length=32, unique=True, null=True, editable=False)  # noqa: DJ001
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
    )
    shared = models.BooleanField(
        _("for everybody"), default=False, help_text=_("Everybody may use it, for own courses.")
    )
    kind = models.CharField(_("content"), max_length=16, choices=Kind, default=Kind.HOURS)
    courses = models.ManyToManyField(
        Course,
        verbose_name=_("courses"),
        blank=True,
        related_name="+",
        help_text=_("Empty: all that whoever makes the file may see."),
    )
    columns = models.JSONField(_("columns"), default=list)
    grouping = models.CharField(_("lines"), max_length=8, choices=Grouping, default=Grouping.PERIOD)
    by_course = models.BooleanField(
        _("apart by course"),
        default=False,
        help_text=_("A line of its own for each course, for example as cost centre."),
    )
    rounding = models.CharField(
        _("rounding"), max_length=8, choices=RoundingMode, default=RoundingMode.NONE
    )
    rounding_step_min = models.PositiveSmallIntegerField(
        _("step (minutes)"), default=1, choices=[(step, step) for step in STEPS_MIN]
    )
    rounding_level = models.CharField(
        _("rounded is"), max_length=8, choices=RoundingLevel, default=RoundingLevel.SHIFT
    )
    break_after_min = models.PositiveSmallIntegerField(
        _("break of a day with more than (minutes)"),
        default=0,
        validators=[MaxValueValidator(1440)],
    )
    break_min = models.PositiveSmallIntegerField(
        _("break (minutes)"),
        default=0,
        validators=[MaxValueValidator(240)],
        help_text=_("Taken off each day that is longer, never below its limit. 0: no break."),
    )
    file_kind = models.CharField(
        _("file"),
        max_length=4,
        choices=ReportExport.Kind.choices,
        default=ReportExport.Kind.CSV,
    )
    header = models.BooleanField(_("headings in the first line"), default=True)
    delimiter = models.CharField(
        _("between values"), max_length=3, choices=Delimiter, default=Delimiter.COMMA
    )
    decimal_separator = models.CharField(
        _("decimal separator"),
        max_length=1,
        choices=DecimalSeparator,
        default=DecimalSeparator.POINT,
    )
    hours_as = models.CharField(
        _("hours as"), max_length=8, choices=HoursAs, default=HoursAs.DECIMAL
    )
    date_format = models.CharField(
        _("dates"), max_length=16, choices=DateFormat, default=DateFormat.ISO
    )
    time_format = models.CharField(
        _("times"), max_length=16, choices=TimeFormat, default=TimeFormat.MINUTES
    )
    encoding = models.CharField(
        _("encoding"), max_length=16, choices=Encoding, default=Encoding.UTF_8_SIG
    )
    quoting = models.CharField(
        _("quotation marks"), max_length=8, choices=Quoting, default=Quoting.MINIMAL
    )

    class Meta:
        verbose_name = _("export profile")
        verbose_name_plural = _("export profiles")
        ordering = ["name", "pk"]
        permissions = [("share_exportprofile", _("Can share export profiles, and see them all"))]
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["hours", "attendance"]),
                name="integrations_profile_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(rounding__in=["none", "nearest", "up", "down"]),
                name="integrations_profile_rounding_known",
            ),
            models.CheckConstraint(
                condition=Q(rounding_step_min__in=STEPS_MIN),
                name="integrations_profile_step_known",
            ),
            models.CheckConstraint(
                condition=Q(rounding_level="shift")
                | Q(rounding_level="day", grouping__in=["day", "period"])
                | Q(rounding_level="period", grouping="period"),
                name="integrations_profile_rounds_within_a_line",
                violation_error_message=_(
                    "Rounded is at most one line: with a line per shift each shift, with a line "
                    "per day each shift or day."
                ),
            ),
            models.CheckConstraint(
                condition=Q(file_kind__in=["csv", "xlsx"]),
                name="integrations_profile_file_kind_known",
            ),
            models.CheckConstraint(
                condition=~Q(delimiter=",", decimal_separator=",", quoting="minimal")
                | Q(file_kind="xlsx"),
                name="integrations_profile_commas_are_told_apart",
                violation_error_message=_(
                    "A comma cannot stand both between values and in numbers without quotation "
                    "marks. Choose a semicolon between values."
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def rounding_rule(self) -> Rounding:
        return Rounding(Mode(self.rounding), self.rounding_step_min, Level(self.rounding_level))

    @property
    def break_rule(self) -> BreakRule:
        return BreakRule(self.break_after_min, self.break_min)


class ExportSchedule(models.Model):
    """When a profile's file is made by itself, and where it goes."""

    class Rhythm(models.TextChoices):
        DAILY = "daily", _("every day, of the day before")
        WEEKLY = "weekly", _("every week, of the last Monday to Sunday")
        MONTHLY = "monthly", _("every month, of the month before")

    class Weekday(models.IntegerChoices):
        MONDAY = 0, _("Monday")
        TUESDAY = 1, _("Tuesday")
        WEDNESDAY = 2, _("Wednesday")
        THURSDAY = 3, _("Thursday")
        FRIDAY = 4, _("Friday")
        SATURDAY = 5, _("Saturday")
        SUNDAY = 6, _("Sunday")

    class Target(models.TextChoices):
        FOLDER = "folder", _("folder on the server")
        S3 = "s3", _("S3 bucket")
        WEBHOOK = "webhook", _("webhook")

    profile = models.ForeignKey(
        ExportProfile,
        verbose_name=_("export profile"),
        on_delete=models.PROTECT,
        related_name="schedules",
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("on behalf of"),
        on_delete=models.SET_NULL,
        null=True,
        editable=False,
        related_name="+",
    )
    active = models.BooleanField(_("active"), default=True)
    rhythm = models.CharField(_("how often"), max_length=8, choices=Rhythm, default=Rhythm.MONTHLY)
    weekday = models.PositiveSmallIntegerField(
        _("weekday"),
        choices=Weekday,
        default=Weekday.MONDAY,
        help_text=_("Of a weekly export."),
    )
    month_day = models.PositiveSmallIntegerField(
        _("day of the month"),
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(28)],
        help_text=_("Of a monthly export, 1 to 28."),
    )
    at = models.TimeField(_("at"), default=time(4))
    timezone = models.CharField(
        _("time zone"),
        max_length=64,
        default=timezone.get_default_timezone_name,
        validators=[validate_time_zone],
    )
    target = models.CharField(
        pgettext_lazy("destination", "to"), max_length=8, choices=Target, default=Target.FOLDER
    )
    place = models.CharField(
        _("place"),
        max_length=300,
        blank=True,
        help_text=_(
            "A folder below the one that the server allows, a path in the bucket, or the name "
            "of a webhook."
        ),
    )
    next_at = models.DateTimeField(_("next run"), editable=False, db_index=True)

    class Meta:
        verbose_name = _("scheduled export")
        verbose_name_plural = _("scheduled exports")
        ordering = ["next_at", "pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(rhythm__in=["daily", "weekly", "monthly"]),
                name="integrations_schedule_rhythm_known",
            ),
            models.CheckConstraint(
                condition=Q(target__in=["folder", "s3", "webhook"]),
                name="integrations_schedule_target_known",
            ),
            models.CheckConstraint(
                condition=Q(weekday__lte=6, month_day__range=(1, 28)),
                name="integrations_schedule_days_exist",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.profile} → {self.get_target_display()}"


class ExportRun(models.Model):
    """One file of a schedule: made once for each period, sent until it has arrived."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("being sent")
        DELIVERED = "delivered", _("delivered")
        FAILED = "failed", _("given up")

    schedule = models.ForeignKey(
        ExportSchedule,
        verbose_name=_("scheduled export"),
        on_delete=models.CASCADE,
        related_name="runs",
    )
    first_day = models.DateField(_("first day"))
    last_day = models.DateField(_("last day"))
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    claimed_at = models.DateTimeField(null=True, editable=False)
    error = models.CharField(_("what went wrong"), max_length=500, blank=True)
    #: The same for each attempt, so that whoever receives it twice can tell.
    delivery_id = models.UUIDField(default=uuid.uuid4, editable=False, unique=True)
    export = models.ForeignKey(
        ReportExport,
        verbose_name=_("file"),
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
    )
    delivered_to = models.CharField(_("delivered to"), max_length=500, blank=True)
    delivered_at = models.DateTimeField(_("delivered at"), null=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        verbose_name = _("run of a scheduled export")
        verbose_name_plural = _("runs of scheduled exports")
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(fields=["state", "next_attempt_at"], name="integrations_run_due"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["schedule", "first_day", "last_day"],
                name="integrations_run_once_per_period",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "running", "delivered", "failed"]),
                name="integrations_run_state_known",
            ),
            models.CheckConstraint(
                condition=Q(last_day__gte=F("first_day")),
                name="integrations_run_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(state="delivered", delivered_at__isnull=False)
                | Q(~Q(state="delivered"), delivered_at=None),
                name="integrations_run_delivered_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.first_day} – {self.last_day}"


#: A column of a profile, as it is stored: which, under which heading, and its text if it is fixed.
StoredColumn = dict[str, Any]
